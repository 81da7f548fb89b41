//! Laws of canonical names over all texts, then examples of every kind and of every error, then real lists.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn domain(text: &str) -> (Kind, String) {
    (Kind::Domain, text.into())
}

/// The canonical form as a pair, or the error.
fn parsed(text: &str) -> Result<(Kind, String), EntityError> {
    Entity::parse(text).map(|entity| (entity.kind, entity.text.into()))
}

/// Texts from the pieces that decide between kinds, so that many are valid and most others nearly.
#[allow(clippy::too_many_lines, reason = "a table")]
fn near_valid() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "Z",
        "example",
        "EXAMPLE",
        "com",
        "de",
        "xn--",
        "xn--bcher-kva",
        "b\u{fc}cher",
        "Stra\u{df}e",
        "\u{130}",
        "\u{3c2}",
        "\u{5d0}",
        "\u{661}",
        "\u{ff11}",
        "\u{212a}",
        "e\u{301}",
        "\u{1f600}",
        "\u{200d}",
        "\u{ad}",
        "\u{fe0f}",
        ".",
        ".",
        ".",
        "\u{3002}",
        "\u{ff0e}",
        "\u{2024}",
        "-",
        "_",
        "*",
        ",",
        "@",
        "\u{ff20}",
        ":",
        "::",
        "/",
        "//",
        "://",
        "http",
        "ftp",
        "ssh",
        "?",
        "#",
        "%2e",
        "%eth0",
        "[",
        "]",
        "AS",
        "as",
        "0",
        "1",
        "24",
        "96",
        "128",
        "255",
        "256",
        "0x1f",
        "4294967295",
        "fe80",
        "ffff",
        "192.0.2.1",
        "10.0.0.0",
        "::ffff:",
        "2001:db8",
        " ",
        "\u{a0}",
        "\u{3000}",
        "\u{202e}",
        "\0",
        "\n",
        "\u{85}",
        "\"",
        "+",
        "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        near_valid(),
        "[a-z0-9._-]{1,70}",
        "[0-9.:/a-f]{1,20}",
        "https?://[ -~]{1,30}",
        "[!-~]{1,20}"
    ]
}

fn any_kind() -> impl Strategy<Value = Kind> {
    (1..=9_u8).prop_map(|code| Kind::from_code(code).unwrap_or(Kind::extension("x-test")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn canonical_form_stands_for_itself(text in any_text()) {
        if let Ok(entity) = Entity::parse(&text) {
            prop_assert_eq!(Entity::parse(entity.as_str()), Ok(entity));
        }
    }

    #[test]
    fn canonical_form_is_short_and_harmless(text in any_text()) {
        if let Ok(entity) = Entity::parse(&text) {
            prop_assert_eq!(check_characters(entity.as_str()), Ok(()));
            let spoken_in_ascii = !matches!(entity.kind(), Kind::Email | Kind::Userid | Kind::Organization);
            prop_assert!(!spoken_in_ascii || entity.as_str().is_ascii());
        }
    }

    #[test]
    fn a_type_labels_and_never_changes_the_text(text in any_text(), kind in any_kind()) {
        match (Entity::parse(&text), Entity::parse_as(&text, kind.clone())) {
            (Ok(inferred), Ok(labelled)) => {
                prop_assert_eq!(labelled.as_str(), inferred.as_str());
                prop_assert_eq!(labelled.kind(), &kind);
            }
            (Ok(inferred), Err(error)) => {
                prop_assert_ne!(inferred.kind(), &kind);
                prop_assert_eq!(error, EntityError::KindMismatch { inferred: inferred.kind().closed_name() });
            }
            (Err(inferring), labelling) => prop_assert_eq!(labelling, Err(inferring)),
        }
    }

    #[test]
    fn the_fast_way_agrees_with_the_slow_way(text in any_text()) {
        if let Some(kind) = Entity::plain_kind(text.as_bytes()) {
            prop_assert_eq!(parse_slowly(&text), Ok(Entity { kind: kind.clone(), text: text.into() }));
        }
    }

    #[test]
    fn plain_names_and_addresses_take_the_fast_way(
        name in "([a-w_]([a-z0-9_]{0,10}-?[a-z0-9_])?\\.){1,3}[a-w]{2,10}",
        address in any::<[u8; 4]>(),
    ) {
        prop_assert_eq!(Entity::plain_kind(name.as_bytes()), Some(&Kind::Domain));
        prop_assert_eq!(Entity::plain_kind(std::net::Ipv4Addr::from(address).to_string().as_bytes()), Some(&Kind::Ip));
    }

    #[test]
    fn spellings_of_one_domain_are_one_entity(
        labels in prop::collection::vec("[a-z]{1,8}|[a-z\u{e4}\u{f6}\u{fc}\u{df}\u{3b1}-\u{3c9}]{1,8}|[\u{4e00}-\u{4e20}]{1,4}", 1..4),
        upper in any::<[bool; 8]>(),
        stop in prop::sample::select(vec![".", "\u{3002}", "\u{ff0e}", "\u{ff61}"]),
        last in prop::sample::select(vec!["", ".", "\u{3002}"]),
    ) {
        let plain = format!("{}.example", labels.join("."));
        let Ok(entity) = Entity::parse(&plain) else { return Err(TestCaseError::reject("not valid in IDNA")) };
        prop_assert_eq!(entity.kind(), &Kind::Domain);
        // Only letters with one capital: that of sharp s is two letters, and small sigma has two forms.
        let shouted = |(at, c): (usize, char)| match c {
            'a'..='z' | '\u{e4}' | '\u{f6}' | '\u{fc}' if upper[at % 8] => c.to_uppercase().next().unwrap_or(c),
            _ => c,
        };
        let spelled: String = plain.chars().enumerate().map(shouted).collect();
        let spelled = spelled.replace('.', stop) + last;
        prop_assert_eq!(Entity::parse(&spelled), Ok(entity.clone()));
        let (unicode, valid) = idna::domain_to_unicode(entity.as_str());
        prop_assert!(valid.is_ok());
        prop_assert_eq!(Entity::parse(&unicode), Ok(entity));
    }

    #[test]
    fn every_address_has_one_spelling(v4 in any::<u32>(), v6 in any::<u128>(), zeros in any::<u128>()) {
        use std::net::{Ipv4Addr, Ipv6Addr};
        let v4 = Ipv4Addr::from(v4);
        let mapped = v4.to_ipv6_mapped();
        for spelling in [v4.to_string(), mapped.to_string(), format!("::FFFF:{v4}"), long(mapped)] {
            prop_assert_eq!(parsed(&spelling), Ok((Kind::Ip, v4.to_string())));
        }
        // Many zero bits, so that runs of zero groups occur.
        let v6 = Ipv6Addr::from((v6 & zeros & !(0xffff << 64)) | (0x2001 << 112));
        for spelling in [v6.to_string(), v6.to_string().to_uppercase(), long(v6)] {
            prop_assert_eq!(parsed(&spelling), Ok((Kind::Ip, v6.to_string())));
        }
    }

    #[test]
    fn every_network_has_one_spelling_and_no_host_bits(address in any::<u32>(), length in 0..=32_u32) {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        let network = std::net::Ipv4Addr::from(address & mask);
        let canonical = format!("{network}/{length}");
        prop_assert_eq!(parsed(&canonical), Ok((Kind::Network, canonical.clone())));
        let mapped = format!("{}/{}", long(network.to_ipv6_mapped()), 96 + length);
        prop_assert_eq!(parsed(&mapped), Ok((Kind::Network, canonical)));
        if address & !mask != 0 {
            let inside = format!("{}/{length}", std::net::Ipv4Addr::from(address));
            prop_assert_eq!(parsed(&inside), Err(EntityError::HostBits));
        }
    }
}

/// An IPv6 address with every digit written.
fn long(address: std::net::Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:04x}")).join(":")
}

#[test]
fn examples_of_every_kind() {
    for (text, kind, canonical) in [
        ("example.com", Kind::Domain, "example.com"),
        ("EXAMPLE.com.", Kind::Domain, "example.com"),
        ("B\u{fc}cher.example", Kind::Domain, "xn--bcher-kva.example"),
        ("Bu\u{308}cher\u{3002}example\u{ff61}", Kind::Domain, "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", Kind::Domain, "xn--bcher-kva.example"),
        ("stra\u{df}e.example", Kind::Domain, "xn--strae-oqa.example"),
        ("exam\u{ad}ple.com", Kind::Domain, "example.com"),
        ("_dmarc.example.com", Kind::Domain, "_dmarc.example.com"),
        ("r3---sn-4g5e.example.com", Kind::Domain, "r3---sn-4g5e.example.com"),
        ("john.doe", Kind::Domain, "john.doe"),
        ("1.0xg", Kind::Domain, "1.0xg"),
        ("192.0.2.1", Kind::Ip, "192.0.2.1"),
        ("::ffff:192.0.2.1", Kind::Ip, "192.0.2.1"),
        ("::FFFF:C000:201", Kind::Ip, "192.0.2.1"),
        ("2001:DB8:0:0:1:0:0:1", Kind::Ip, "2001:db8::1:0:0:1"),
        ("::", Kind::Ip, "::"),
        ("192.0.2.0/24", Kind::Network, "192.0.2.0/24"),
        ("192.0.2.1/32", Kind::Network, "192.0.2.1/32"),
        ("0.0.0.0/0", Kind::Network, "0.0.0.0/0"),
        ("::/0", Kind::Network, "::/0"),
        ("2001:DB8::/32", Kind::Network, "2001:db8::/32"),
        ("::ffff:192.0.2.0/120", Kind::Network, "192.0.2.0/24"),
        ("::ffff:0:0/96", Kind::Network, "0.0.0.0/0"),
        ("as64500", Kind::Asn, "AS64500"),
        ("AS0064500", Kind::Asn, "AS64500"),
        ("AS4294967295", Kind::Asn, "AS4294967295"),
        ("AS0", Kind::Asn, "AS0"),
        ("John.Doe+x@EXAMPLE.com.", Kind::Email, "John.Doe+x@example.com"),
        ("Jose\u{301}@b\u{fc}cher.example", Kind::Email, "Jos\u{e9}@xn--bcher-kva.example"),
        ("HTTP://EXAMPLE.com:80", Kind::Url, "http://example.com/"),
        ("https://b\u{fc}cher.example/\u{e4}?q=a@b#f", Kind::Url, "https://xn--bcher-kva.example/%C3%A4?q=a@b#f"),
        ("ssh://example.com/x", Kind::Url, "ssh://example.com/x"),
        ("http://[2001:DB8::1]/", Kind::Url, "http://[2001:db8::1]/"),
        ("John Doe", Kind::Organization, "John Doe"),
        ("Example.com B.V.", Kind::Organization, "Example.com B.V."),
        ("Zu\u{308}rich AG", Kind::Organization, "Z\u{fc}rich AG"),
        ("johndoe", Kind::Userid, "johndoe"),
        ("JohnDoe", Kind::Userid, "JohnDoe"),
        ("Inc.", Kind::Userid, "Inc."),
        ("and/or", Kind::Userid, "and/or"),
        ("domain:name", Kind::Userid, "domain:name"),
        ("AS64500a", Kind::Userid, "AS64500a"),
        ("12345", Kind::Userid, "12345"),
        (
            "\u{30e2}\u{30fc}\u{30cb}\u{30f3}\u{30b0}\u{5a18}\u{3002}",
            Kind::Userid,
            "\u{30e2}\u{30fc}\u{30cb}\u{30f3}\u{30b0}\u{5a18}\u{3002}",
        ),
    ] {
        assert_eq!(parsed(text), Ok((kind, canonical.into())), "{text}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn broken_texts_are_errors_and_nothing_else() {
    use EntityError::*;
    for (text, error) in [
        ("", Empty),
        (" example.com", EdgeWhiteSpace),
        ("example.com\u{3000}", EdgeWhiteSpace),
        (" ", EdgeWhiteSpace),
        ("exam\0ple", ControlCharacter),
        ("example.com\n", ControlCharacter),
        ("two\u{2028}lines", ControlCharacter),
        ("c1\u{9b}", ControlCharacter),
        ("evil\u{202e}moc.example", Bidi),
        ("\u{200f}name", Bidi),
        (".", BadDomain),
        ("..", BadDomain),
        ("a..b", BadDomain),
        (".example.com", BadDomain),
        ("example.com..", BadDomain),
        ("\u{ad}.com", BadDomain),
        ("*.example.com", BadDomain),
        ("exam!ple.com", BadDomain),
        ("example.com:443", BadDomain),
        ("example.com/path", BadDomain),
        ("example.com,", BadDomain),
        ("-a.example", BadDomain),
        ("a-.example", BadDomain),
        ("xn--.example", BadDomain),
        ("xn--a.example", BadDomain),
        ("user\u{ff20}example.com", BadDomain),
        ("http:/example.com", BadDomain),
        ("192.0.2.999", BadAddress),
        ("192.0.2.01", BadAddress),
        ("192.0.2.1.", BadAddress),
        ("1.2.3", BadAddress),
        ("1.2", BadAddress),
        ("example.1", BadAddress),
        ("example.0x", BadAddress),
        ("example.0x7f", BadAddress),
        ("\u{ff11}.\u{ff12}.\u{ff13}.\u{ff14}", BadAddress),
        ("2001:db8:::1", BadAddress),
        ("1:2:3:4:5:6:7:8:9", BadAddress),
        ("fe80::1%eth0", BadAddress),
        ("[2001:db8::1]", BadAddress),
        ("[2001:db8::1]:443", BadAddress),
        ("::ffff:192.0.2.256", BadAddress),
        ("192.0.2.256/24", BadAddress),
        ("10/8", BadAddress),
        ("192.0.2.0/", BadNetwork),
        ("192.0.2.0/33", BadNetwork),
        ("192.0.2.0/024", BadNetwork),
        ("192.0.2.0/+24", BadNetwork),
        ("192.0.2.0/255.255.255.0", BadNetwork),
        ("192.0.2.0/24/24", BadNetwork),
        ("2001:db8::/129", BadNetwork),
        ("192.0.2.1/path", BadNetwork),
        ("192.0.2.1/24", HostBits),
        ("::ffff:0:0/95", HostBits),
        ("2001:db8::1/32", HostBits),
        ("AS4294967296", BadAsn),
        ("as99999999999999999999", BadAsn),
        ("@example.com", BadEmail),
        ("@handle", BadEmail),
        ("a@", BadEmail),
        ("a@localhost", BadEmail),
        ("a@@example.com", BadDomain),
        ("a@b@example.com", BadDomain),
        (".a@example.com", BadEmail),
        ("a..b@example.com", BadEmail),
        ("\"a b\"@example.com", BadEmail),
        ("A B <a@example.com>", BadEmail),
        ("mailto:a@example.com", BadEmail),
        ("a@[192.0.2.1]", BadDomain),
        ("a@192.0.2.1", BadAddress),
        ("a@exa mple.com", BadDomain),
        ("://example.com", BadUrl),
        ("http://", BadUrl),
        ("file:///etc/hosts", BadUrl),
        ("http://exa mple.com/", BadUrl),
        ("see http://example.com/", BadUrl),
        ("http://192.0.2.999/", BadUrl),
        ("1http://example.com", BadUrl),
    ] {
        assert_eq!(parsed(text), Err(error), "{text:?}");
    }
}

#[test]
fn lengths_are_exact() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!((name.len(), parsed(&name)), (253, Ok(domain(&name))));
    assert_eq!(parsed(&format!("{name}.")), Ok(domain(&name)));
    assert_eq!(parsed(&format!("{name}b")), Err(EntityError::LongDomain));
    assert_eq!(parsed(&format!("{label}a.example")), Err(EntityError::LongLabel));
    assert_eq!(parsed(&format!("{}@example.com", "a".repeat(64))).map(|found| found.0), Ok(Kind::Email));
    assert_eq!(parsed(&format!("{}@example.com", "a".repeat(65))), Err(EntityError::BadEmail));
    assert_eq!(parsed(&"a".repeat(ENTITY_BYTES_MAX)).map(|found| found.0), Ok(Kind::Userid));
    assert_eq!(parsed(&"a".repeat(ENTITY_BYTES_MAX + 1)), Err(EntityError::TooLong));
    // Short as sent, long in canonical form: three octets of path for each one of a letter's two.
    assert_eq!(parsed(&format!("http://a.example/{}", "\u{e4}".repeat(400))), Err(EntityError::TooLong));
}

#[test]
fn labels_follow_the_syntax() {
    for (text, allowed) in [
        ("example.com", "domain userid organization x-a"),
        ("192.0.2.1", "ip x-a"),
        ("192.0.2.0/24", "network x-a"),
        ("AS64500", "asn x-a"),
        ("a@example.com", "email userid x-a"),
        ("http://example.com/", "url x-a"),
        ("johndoe", "userid organization x-a"),
        ("John Doe", "organization x-a"),
    ] {
        for name in "domain ip network asn email url userid organization x-a".split(' ') {
            let labelled = Entity::parse_as(text, Kind::parse(name).unwrap());
            assert_eq!(labelled.is_ok(), allowed.split(' ').any(|kind| kind == name), "{text} as {name}: {labelled:?}");
        }
    }
}

/// Real lists: every address, every domain that is listed at the end, and all of the history but the slips of the
/// pen in it, each of which was struck out again.
#[test]
fn real_lists_are_canonical_as_they_are() {
    const FINAL: &str = include_str!("../../../tests/data/disposable-email-domains-final.txt");
    const HISTORY: &str = include_str!("../../../tests/data/disposable-email-domains-history.jsonl");
    const ADDRESSES: &str = include_str!("../../../tests/data/ipsum-2026-08-22.txt");

    let listed: BTreeSet<&str> = FINAL.lines().collect();
    assert_eq!(listed.len(), 8335);
    for name in &listed {
        assert_eq!(parsed(name), Ok(domain(name)));
    }
    let addresses = ADDRESSES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next());
    let mut seen = 0;
    for address in addresses {
        assert_eq!(parsed(address), Ok((Kind::Ip, address.into())));
        seen += 1;
    }
    assert_eq!(seen, 120_430);

    let mut slips = BTreeSet::new();
    for line in HISTORY.lines() {
        let change: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = change["entity"].as_str().unwrap().to_owned();
        match Entity::parse_as(&name, Kind::Domain) {
            Ok(entity) => assert_eq!(entity.as_str(), name),
            Err(_) => _ = slips.insert(name),
        }
    }
    let known = |name: &str| {
        name.ends_with(',')
            || ["*.33mail.com", "datafilehost", "disposableemailaddresses:emailmiser.com", "f5si"].contains(&name)
    };
    assert!(slips.iter().all(|name| known(name) && !listed.contains(name.as_str())), "{slips:?}");
    assert_eq!(slips.len(), 28);
}
