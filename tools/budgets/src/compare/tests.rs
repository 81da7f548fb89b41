//! Laws of agreement, and two runs that were made up.

use proptest::prelude::*;

use super::*;
use crate::budget::Goal;
use crate::results::made_up;
use crate::settings::Size;

fn sample(rounds: &[f64]) -> Sample {
    Sample::of(rounds.to_vec()).unwrap()
}

fn rounds() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(1.0_f64..1e6, 1..6)
}

proptest! {
    /// It does not matter which run comes first, and a run agrees with itself.
    #[test]
    fn agreement_is_mutual(a in rounds(), b in rounds()) {
        let (a, b) = (sample(&a), sample(&b));
        prop_assert_eq!(standing(&a, &b), standing(&b, &a));
        prop_assert_eq!(standing(&a, &a), Standing::Overlap);
    }

    /// A faster clock changes nothing.
    #[test]
    fn agreement_has_no_unit(a in rounds(), b in rounds(), power in -3_i32..10) {
        let factor = f64::from(2_i32).powi(power);
        let scaled = |rounds: &[f64]| sample(&rounds.iter().map(|number| number * factor).collect::<Vec<_>>());
        prop_assert_eq!(standing(&sample(&a), &sample(&b)), standing(&scaled(&a), &scaled(&b)));
    }

    /// Spreads overlap exactly where some number lies in both; apart are only those whose medians are too.
    #[test]
    fn agreement_is_what_it_says(a in rounds(), b in rounds()) {
        let (a, b) = (sample(&a), sample(&b));
        let common = a.min.max(b.min) <= a.max.min(b.max);
        let quotient = a.median.max(b.median) / a.median.min(b.median);
        match standing(&a, &b) {
            Standing::Overlap => prop_assert!(common),
            Standing::Close => prop_assert!(!common && quotient <= 1.0 + TOLERANCE + 1e-9),
            Standing::Apart => prop_assert!(!common && quotient > 1.0 + TOLERANCE - 1e-9),
            Standing::Alone => prop_assert!(false),
        }
    }

    /// One more round never makes two apart that overlapped.
    #[test]
    fn more_rounds_agree_more(a in rounds(), b in rounds(), more in 1.0_f64..1e6) {
        let overlaps = |a: &[f64]| standing(&sample(a), &sample(&b)) == Standing::Overlap;
        let longer: Vec<f64> = a.iter().copied().chain([more]).collect();
        prop_assert!(!overlaps(&a) || overlaps(&longer));
    }
}

#[test]
fn a_run_agrees_with_itself() {
    let run = made_up(Size::full());
    let comparison = Comparison::of(&run, &run);
    assert!(comparison.agrees(), "{}", comparison.text(false));
    assert!(comparison.pairs.iter().all(|pair| pair.ratio() == Some(1.0)));
    assert!(comparison.remarks.is_empty());
    // Each number once: three of our own, and two ratios.
    assert_eq!(comparison.pairs.len(), 5, "{:?}", comparison.pairs);
}

#[test]
fn what_differs_is_named() {
    let a = made_up(Size::full());
    let mut b = made_up(Size::full());
    b.book.rows[2] = Row::new(Budget::B7, "start", Unit::Seconds, sample(&[2.0])).own_goal(Goal::AtMost(3.0));
    let gone = b.book.rows.remove(1);
    let comparison = Comparison::of(&a, &b);
    assert!(!comparison.agrees());
    let start = comparison.pairs.iter().find(|pair| pair.what == "start").unwrap();
    assert_eq!((start.standing(), start.is_turned()), (Standing::Apart, true));
    let alone = comparison.pairs.iter().filter(|pair| pair.standing() == Standing::Alone).count();
    assert_eq!(alone, 2, "our number and the ratio of {}", gone.what);
    let text = comparison.text(false);
    for expected in ["APART", "ONLY ONE", "NOT met / met", "0.333", "2 of 5 numbers agree", "10 %"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn runs_of_other_sizes_never_agree() {
    let (a, b) = (made_up(Size::full()), made_up(Size::quick()));
    let comparison = Comparison::of(&a, &b);
    assert!(!comparison.agrees() && comparison.text(false).contains("different lengths or sizes"));
}

#[test]
fn what_is_no_run_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(read(directory.path()).is_err());
    let run = made_up(Size::full());
    run.write(directory.path()).unwrap();
    assert_eq!(read(directory.path()).unwrap(), run);
    std::fs::write(directory.path().join("results.json"), "{}").unwrap();
    assert!(read(directory.path()).unwrap_err().to_string().contains("no results of this version"));
}
