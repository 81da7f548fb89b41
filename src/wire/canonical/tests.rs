//! Tests of `canonical`.

use proptest::prelude::*;

use super::*;
use crate::types::limits::ATTRIBUTES_BYTES_MAX;
use crate::wire::json::Parser;
use crate::wire::samples;

const BYTES_MAX: usize = 1 << 20;

fn canonical(text: &str) -> Option<Result<String, Refused>> {
    let mut bytes = text.as_bytes().to_vec();
    let mut parser = Parser::new(64);
    let document = parser.parse(&mut bytes, text.len()).ok()?;
    let object = document.object().ok()?;
    Some(
        attributes(object, BYTES_MAX)
            .map(|attributes| if attributes.is_empty() { "{}".to_owned() } else { attributes.as_str().to_owned() }),
    )
}

/// The same value with its members in another order and its characters escaped.
fn respelled(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Array(elements) => {
            out.push_str("[ ");
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at > 0 { "\t,\n" } else { "" });
                respelled(element, out);
            }
            out.push(']');
        }
        serde_json::Value::Object(members) => {
            out.push('{');
            for (at, (name, element)) in members.iter().rev().enumerate() {
                out.push_str(if at > 0 { " , " } else { "\r\n" });
                respelled(&serde_json::Value::String(name.clone()), out);
                out.push_str(" : ");
                respelled(element, out);
            }
            out.push('}');
        }
        serde_json::Value::String(text) => {
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            out.push_str(&format!("\"{escaped}\""));
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

proptest! {
    #[test]
    fn canonical_text_is_its_own_canonical_text(text in samples::object()) {
        if let Some(Ok(once)) = canonical(&text) {
            prop_assert_eq!(canonical(&once), Some(Ok(once)));
        }
    }

    #[test]
    fn equal_values_have_equal_bytes(text in samples::object()) {
        if let Some(Ok(once)) = canonical(&text) {
            // From the canonical text on, so that both readers have seen the same doubles.
            let value: serde_json::Value = serde_json::from_str(&once).unwrap();
            let mut other = String::new();
            respelled(&value, &mut other);
            if canonical(&value.to_string()) == Some(Ok(once.clone())) {
                prop_assert_eq!(canonical(&other), Some(Ok(once)));
            }
        }
    }

    #[test]
    fn canonical_text_means_what_the_text_means(text in samples::object()) {
        if let Some(Ok(once)) = canonical(&text) {
            let one: serde_json::Value = serde_json::from_str(&text).unwrap();
            let other: serde_json::Value = serde_json::from_str(&once).unwrap();
            prop_assert!(close(&one, &other), "{one} {other}");
        }
    }

    #[test]
    fn doubles_read_back_as_they_were(value in any::<f64>().prop_filter("JSON has no infinity", |v| v.is_finite())) {
        let mut out = Vec::new();
        write_number(&mut out, Number::Double(value));
        let read: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
        prop_assert_eq!(read, value);
    }
}

/// Equal, but for the spelling and rounding of numbers.
fn close(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        (Number(one), Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            samples::near(one, other)
        }
        (Array(one), Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| close(one, other))
        }
        (Object(one), Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && close(one.1, other.1))
        }
        (one, other) => one == other,
    }
}

/// RFC 8785, sections 3.2.2 and 3.2.3.
#[test]
fn the_examples_of_the_rfc() {
    let values = r#"{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"#;
    assert_eq!(
        canonical(values).unwrap().unwrap(),
        concat!(
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
            r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        )
    );
    let order = r#"{
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    assert_eq!(
        canonical(order).unwrap().unwrap(),
        concat!(
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",",
            "\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",",
            "\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        )
    );
}

/// RFC 8785, appendix B.
#[test]
fn the_numbers_of_the_rfc() {
    for (bits, expected) in [
        (0x0000_0000_0000_0000_u64, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        let mut out = Vec::new();
        write_number(&mut out, Number::Double(f64::from_bits(bits)));
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{bits:016x}");
    }
}

#[test]
fn numbers_without_an_agreed_value_are_refused() {
    for (number, agreed) in [
        ("9007199254740991", true),
        ("-9007199254740991", true),
        ("9007199254740992", false),
        ("-9007199254740992", false),
        ("18446744073709551615", false),
        ("9007199254740991.0", true),
        ("9007199254740992.0", false),
        ("-1e20", false),
        ("1e21", true),
        ("-1e300", true),
        ("0.1", true),
    ] {
        let outcome = canonical(&format!("{{\"a\":[{number}]}}")).unwrap();
        assert_eq!(outcome.is_ok(), agreed, "{number}");
        assert!(agreed || outcome == Err(Refused::Number), "{number}");
    }
}

#[test]
fn the_length_that_counts_is_that_of_the_canonical_text() {
    let mut parser = Parser::new(16);
    for (value, fits) in [
        (format!("\"{}\"", "b".repeat(ATTRIBUTES_BYTES_MAX - 8)), true),
        (format!("\"{}\"", "b".repeat(ATTRIBUTES_BYTES_MAX - 7)), false),
        (format!("\"{}\"", "\\u0062".repeat(ATTRIBUTES_BYTES_MAX - 8)), true),
        (format!("{}[]", " ".repeat(2 * ATTRIBUTES_BYTES_MAX)), true),
    ] {
        let mut bytes = format!("{{\"a\":{value}}}").into_bytes();
        let length = bytes.len();
        let document = parser.parse(&mut bytes, length).unwrap();
        let outcome = attributes(document.object().unwrap(), ATTRIBUTES_BYTES_MAX);
        assert_eq!(outcome.is_ok(), fits);
        assert!(fits || outcome == Err(Refused::TooLong(ATTRIBUTES_BYTES_MAX)));
    }
}
