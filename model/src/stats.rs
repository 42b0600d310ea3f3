//! Mean, deviation and sigma of a window.

use statrs::statistics::Statistics;

/// Summary of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many.
    pub count: usize,
    /// Mean; `None` of nothing.
    pub mean: Option<f64>,
    /// Sample standard deviation (n - 1); `None` of fewer than two.
    pub stdev: Option<f64>,
}

impl Summary {
    /// Summarises values, in the order given: the same values give the same bits.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        Self {
            count: values.len(),
            mean: (!values.is_empty()).then(|| values.mean()),
            stdev: (values.len() > 1).then(|| values.std_dev()),
        }
    }

    /// How many standard deviations a value lies from the mean, signed.
    ///
    /// `floor` is the smallest deviation to divide by; `None` where nothing can be said (fewer than two values,
    /// or no deviation at all and no floor).
    #[must_use]
    pub fn sigma(&self, value: f64, floor: f64) -> Option<f64> {
        let (mean, stdev) = (self.mean?, self.stdev?.max(floor));
        (stdev > 0.0).then(|| (value - mean) / stdev)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let summary = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(summary.mean, Some(5.0));
        assert!((summary.stdev.unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Summary::of(&[1.0]).stdev, None);
        assert_eq!(Summary::of(&[]).mean, None);
    }

    #[test]
    fn sigma_counts_deviations_and_never_divides_by_zero() {
        let flat = Summary::of(&[3.0; 10]);
        assert_eq!(flat.sigma(4.0, 0.0), None);
        assert_eq!(flat.sigma(4.0, 0.5), Some(2.0));
        assert_eq!(Summary::of(&[1.0]).sigma(1.0, 1.0), None);
    }
}
