//! Sparklines: a row of blocks for the newest values.

use systembot_model::number;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest values, at most `width` of them, as blocks from the least to the greatest one among them.
///
/// What does not change is a low line: there is nothing to see in it.
#[must_use]
pub fn spark(values: &[f64], width: usize) -> String {
    let shown = values.get(values.len().saturating_sub(width)..).unwrap_or(values);
    let min = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let max = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Halves, so that the span of the largest floats is none too large.
    let range = max / 2.0 - min / 2.0;
    let block = |value: &f64| {
        let share = if range > 0.0 { (value / 2.0 - min / 2.0) / range } else { 0.0 };
        let level = usize::try_from(number::round(share * 7.0)).unwrap_or(0);
        BLOCKS.get(level).copied().unwrap_or('█')
    };
    shown.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_the_values() {
        let check =
            |values: &[f64], width, expected: &str| assert_eq!(spark(values, width), expected, "{values:?}");
        check(&[], 10, "");
        check(&[5.0], 10, "▁");
        check(&[3.0; 4], 10, "▁▁▁▁");
        check(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 10, "▁▂▃▄▅▆▇█");
        check(&[100.0, 0.0, 7.0], 2, "▁█");
        check(&[f64::MIN, 0.0, f64::MAX], 10, "▁▅█");
        check(&[1.0, 2.0], 0, "");
    }
}
