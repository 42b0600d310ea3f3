//! Samples as few bytes: how a window is stored, in baselines and in the checkpoint.
//!
//! First their number; then the moments, as differences of differences; then the values. All numbers are varints of
//! seven bits a byte, those with a sign folded so that small ones are short. The values begin with a byte that says
//! how they are written:
//!
//! | byte | values |
//! |---|---|
//! | 0 to 6 | whole numbers times 10^-byte, as differences; a further byte says how many bits each was shifted right |
//! | 7 | their bits, eight bytes each |
//! | 8 | the bits of the one value that all are |
//!
//! Whole numbers are chosen only where every value comes back bit for bit.

use crate::{Timestamp, number};

/// Most decimals that are tried.
const DECIMALS_MAX: u8 = 6;
const BITS: u8 = 7;
const CONSTANT: u8 = 8;
/// Largest whole number that every `f64` below it can say: 2^53.
const WHOLE_MAX: u64 = 1 << 53;

/// Packs samples.
pub(crate) fn pack(samples: impl ExactSizeIterator<Item = (Timestamp, f64)> + Clone) -> Vec<u8> {
    let count = samples.len();
    let mut out = Vec::with_capacity(16 + 3 * count);
    put(&mut out, u64::try_from(count).unwrap_or(u64::MAX));
    let (mut before, mut step) = (0_i64, 0_i64);
    for (at, _) in samples.clone() {
        let next = at.as_ms().wrapping_sub(before);
        put(&mut out, fold(next.wrapping_sub(step)));
        (before, step) = (at.as_ms(), next);
    }
    let values = samples.map(|(_, value)| value);
    let Some(first) = values.clone().next() else { return out };
    if values.clone().all(|value| value.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        out.extend(first.to_bits().to_le_bytes());
    } else if let Some((decimals, wholes)) = scaled(values.clone()) {
        let shift = wholes.iter().fold(0, |all, n| all | n).trailing_zeros().min(i64::BITS - 1);
        out.push(decimals);
        put(&mut out, shift.into());
        let mut before = 0;
        for n in wholes {
            let n = n >> shift;
            put(&mut out, fold(n - before));
            before = n;
        }
    } else {
        out.push(BITS);
        values.for_each(|value| out.extend(value.to_bits().to_le_bytes()));
    }
    out
}

/// Unpacks samples; `None` for bytes that [`pack`] does not make.
pub(crate) fn unpack<C: FromIterator<(Timestamp, f64)>>(mut bytes: &[u8]) -> Option<C> {
    let count = usize::try_from(take(&mut bytes)?).ok()?;
    // Each sample has at least a byte for its moment: nothing larger is ever made room for.
    if count > bytes.len() {
        return None;
    }
    let (mut before, mut step) = (0_i64, 0_i64);
    let mut moments = Vec::with_capacity(count);
    for _ in 0..count {
        step = step.wrapping_add(unfold(take(&mut bytes)?));
        before = before.wrapping_add(step);
        moments.push(Timestamp::from_ms(before));
    }
    if count == 0 {
        return bytes.is_empty().then(|| std::iter::empty().collect());
    }
    let (form, rest) = bytes.split_first()?;
    bytes = rest;
    let values: Vec<f64> = match *form {
        decimals @ 0..=DECIMALS_MAX => {
            let shift = u32::try_from(take(&mut bytes)?).ok().filter(|shift| *shift < i64::BITS)?;
            let (mut whole, scale) = (0_i64, scale(decimals));
            let mut next = || {
                whole = whole.wrapping_add(unfold(take(&mut bytes)?));
                Some(number::signed(whole << shift) / scale)
            };
            (0..count).map(|_| next()).collect::<Option<_>>()?
        }
        BITS => (0..count).map(|_| bits(&mut bytes)).collect::<Option<_>>()?,
        CONSTANT => vec![bits(&mut bytes)?; count],
        _ => return None,
    };
    bytes.is_empty().then(|| moments.into_iter().zip(values).collect())
}

/// Values as whole numbers times 10^-decimals, with the fewest decimals with which all come back.
fn scaled(values: impl Iterator<Item = f64> + Clone) -> Option<(u8, Vec<i64>)> {
    let mut decimals = 0;
    for value in values.clone() {
        while whole(value, scale(decimals)).is_none() {
            decimals += 1;
            if decimals > DECIMALS_MAX {
                return None;
            }
        }
    }
    // What came back with few decimals need not with more.
    let scale = scale(decimals);
    values.map(|value| whole(value, scale)).collect::<Option<_>>().map(|wholes| (decimals, wholes))
}

fn whole(value: f64, scale: f64) -> Option<i64> {
    let n = number::integer(value * scale);
    let comes_back = (number::signed(n) / scale).to_bits() == value.to_bits();
    (comes_back && n.unsigned_abs() <= WHOLE_MAX).then_some(n)
}

const fn scale(decimals: u8) -> f64 {
    match decimals {
        0 => 1.0,
        1 => 1e1,
        2 => 1e2,
        3 => 1e3,
        4 => 1e4,
        5 => 1e5,
        _ => 1e6,
    }
}

/// Folds the sign into the lowest bit.
const fn fold(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

const fn unfold(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let [low, ..] = n.to_le_bytes();
        n >>= 7;
        if n == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for place in 0..10_u32 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if *byte < 0x80 {
            return Some(n);
        }
    }
    None
}

fn bits(bytes: &mut &[u8]) -> Option<f64> {
    let (eight, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(f64::from_bits(u64::from_le_bytes(*eight)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Samples = Vec<(Timestamp, f64)>;

    fn packed(samples: &[(Timestamp, f64)]) -> Vec<u8> {
        pack(samples.iter().copied())
    }

    fn as_bits(samples: &[(Timestamp, f64)]) -> Vec<(i64, u64)> {
        samples.iter().map(|(at, value)| (at.as_ms(), value.to_bits())).collect()
    }

    /// Ticks of 15 s, a few milliseconds early or late.
    fn ticks(values: impl Iterator<Item = f64>) -> Samples {
        (0_i64..)
            .zip(values)
            .map(|(i, value)| (Timestamp::from_ms(1_795_346_634_007 + i * 15_000 + i * 7 % 3), value))
            .collect()
    }

    #[test]
    fn real_series_take_a_few_bytes_a_sample() {
        let check = |what: &str, most: usize, values: &dyn Fn(u32) -> f64| {
            let samples = ticks((0..100).map(values));
            let bytes = packed(&samples);
            assert_eq!(as_bits(&unpack::<Samples>(&bytes).unwrap()), as_bits(&samples), "{what}");
            assert!(bytes.len() <= most, "{what}: {} bytes", bytes.len());
        };
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 20);
        check("load", 240, &|i| (noise(i) / 40.0).round() / 100.0);
        check("bytes used", 440, &|i| {
            6.2e9_f64.mul_add(1.0, noise(i) * 65_536.0).div_euclid(4096.0) * 4096.0
        });
        check("counter", 540, &|i| f64::from(i).mul_add(1_500_000.0, noise(i) * 100.0).round());
        check("constant", 120, &|_| 16_777_216_000.0);
        check("any floats", 920, &|i| (noise(i) + 0.1) / 3.0);
    }

    #[test]
    fn what_is_odd_comes_back_too() {
        let odd = [
            f64::NAN,
            f64::INFINITY,
            -0.0,
            f64::MIN_POSITIVE,
            5e-324,
            f64::MAX,
            0.1 + 0.2,
            9_007_199_254_740_993.0,
        ];
        for value in odd {
            for samples in [vec![value], vec![0.0, value], vec![0.25, value, 1.0]] {
                let samples = ticks(samples.into_iter());
                assert_eq!(
                    as_bits(&unpack::<Samples>(&packed(&samples)).unwrap()),
                    as_bits(&samples),
                    "{value}"
                );
            }
        }
        assert_eq!(packed(&[]), [0]);
        assert_eq!(unpack::<Samples>(&[0]), Some(Vec::new()));
    }

    #[test]
    fn bytes_that_are_none_of_it_are_refused() {
        let whole = packed(&ticks([0.25, 0.5, 0.75].into_iter()));
        for end in 0..whole.len() {
            assert_eq!(unpack::<Samples>(whole.get(..end).unwrap()), None, "cut at {end}");
        }
        assert_eq!(unpack::<Samples>(&[whole.as_slice(), &[0]].concat()), None, "a byte too many");
        // So many samples that no machine has the memory.
        assert_eq!(unpack::<Samples>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0]), None);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1_000_000_000_i64..1_000_000_000, 0..8_u8)
                .prop_map(|(n, d)| number::signed(n) / 10_f64.powi(d.into())),
            any::<i64>().prop_map(number::signed),
        ]
    }

    fn samples() -> impl Strategy<Value = Samples> {
        let moment = prop_oneof![any::<i64>(), 1_795_346_634_007_i64..1_795_346_734_007];
        let mixed = proptest::collection::vec((moment, value()), 0..60);
        let alike = (proptest::collection::vec(-100_000_i64..100_000, 0..800), 0..8_u8, any::<i32>());
        let alike = alike.prop_map(|(wholes, decimals, shift)| {
            let scale = 10_f64.powi(decimals.into());
            let value = |n| number::signed(n + i64::from(shift)) / scale;
            wholes.into_iter().map(|n| (n * 1_000, value(n))).collect::<Vec<_>>()
        });
        prop_oneof![mixed, alike].prop_map(|samples| {
            samples.into_iter().map(|(at, value)| (Timestamp::from_ms(at), value)).collect()
        })
    }

    proptest! {
        #[test]
        fn any_samples_come_back_bit_for_bit(samples in samples()) {
            let found = unpack::<Samples>(&packed(&samples));
            prop_assert_eq!(as_bits(&found.unwrap()), as_bits(&samples));
        }

        #[test]
        fn any_bytes_are_samples_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(samples) = unpack::<Samples>(&bytes) {
                prop_assert!(samples.len() <= bytes.len());
            }
        }
    }
}
