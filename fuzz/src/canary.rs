//! A failure that was planted, to see that the machinery finds one.

/// Fails on four bytes that chance would take four thousand million tries for, and coverage some thousands.
pub fn run(data: &[u8]) {
    let mut bytes = data.iter();
    for expected in b"bird" {
        if bytes.next() != Some(expected) {
            return;
        }
    }
    panic!("the canary was found");
}
