//! RepSec, as any other client would speak it: commands and answers are lines of JSON.

mod answer;
mod request;

pub(super) use answer::check;
pub(super) use request::{Nonces, compose};

/// Appends a number in decimal digits.
fn write_number(number: u64, out: &mut Vec<u8>) {
    const DIGITS_MAX: usize = 20;
    let (mut digits, mut rest, mut begin) = ([0_u8; DIGITS_MAX], number, DIGITS_MAX);
    loop {
        begin -= 1;
        if let (Some(place), Ok(digit)) = (digits.get_mut(begin), u8::try_from(rest % 10)) {
            *place = b'0' + digit;
        }
        rest /= 10;
        if rest == 0 || begin == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(begin..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_usual(number: u64, shift in 0_u32..64) {
            let mut out = Vec::new();
            super::write_number(number >> shift, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), (number >> shift).to_string());
        }
    }
}
