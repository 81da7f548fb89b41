//! Points in time. The clock itself is an input from above; nothing here reads it.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds. Years 1970 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(u64);

/// Bytes of a time in RFC 3339 with whole seconds.
pub const RFC3339_S_BYTES: usize = 20;
/// Bytes of a time in RFC 3339 with milliseconds.
pub const RFC3339_BYTES_MAX: usize = 24;

/// 9999-12-30T21:59:59.999Z: a time that RFC 3339 can write with any offset, as the library's times end there.
const UNIX_MS_MAX: u64 = 253_402_207_199_999;

impl Timestamp {
    /// The epoch, which no event can have.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The point this many milliseconds after the epoch; later than the year 9999 is folded to its end.
    pub const fn from_unix_ms(ms: u64) -> Timestamp {
        Timestamp(if ms > UNIX_MS_MAX { UNIX_MS_MAX } else { ms })
    }

    /// The point this many seconds after the epoch; later than the year 9999 is folded to its end.
    pub const fn from_unix_s(s: u64) -> Timestamp {
        Timestamp::from_unix_ms(s.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn unix_s(self) -> u64 {
        self.0 / 1000
    }

    /// Reads an RFC 3339 time with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
        // RFC 3339 is narrower than what the library reads: it has no bracketed zone and wants an offset.
        if text.len() > 40 || text.contains('[') {
            return None;
        }
        let instant: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(instant.as_millisecond()).ok().filter(|ms| *ms <= UNIX_MS_MAX).map(Timestamp)
    }

    /// Writes the time as RFC 3339 in UTC with whole seconds, as in the draft's examples: `2025-09-02T10:00:00Z`.
    pub fn rfc3339_s(self) -> [u8; RFC3339_S_BYTES] {
        let (mut day, mut text) = (Day::EPOCH, [0; RFC3339_S_BYTES]);
        day.write(self, &mut text);
        text
    }

    /// Writes the time as RFC 3339 in UTC into `room`, with milliseconds only where there are any, and gives what was
    /// written.
    pub fn rfc3339(self, room: &mut [u8; RFC3339_BYTES_MAX]) -> &[u8] {
        let whole = self.rfc3339_s();
        #[allow(clippy::cast_possible_truncation, reason = "below 1,000")]
        let ms = (self.0 % 1000) as u32;
        if ms == 0 {
            let (room, _) = room.split_at_mut(whole.len());
            room.copy_from_slice(&whole);
            return room;
        }
        let [.., hundreds] = pair(ms / 100);
        let [tens, ones] = pair(ms % 100);
        let [seconds @ .., _] = whole;
        let (front, behind) = room.split_at_mut(seconds.len());
        front.copy_from_slice(&seconds);
        behind.copy_from_slice(&[b'.', hundreds, tens, ones, b'Z']);
        room
    }

    /// Whole days since the epoch, and the seconds of the day.
    #[allow(clippy::cast_possible_truncation, reason = "there are fewer than three million days until the year 9999")]
    const fn days_and_seconds(self) -> (u32, u32) {
        ((self.unix_s() / 86_400) as u32, (self.unix_s() % 86_400) as u32)
    }
}

/// Writes times of which many lie on the same day, each as [`Timestamp::rfc3339_s`] does: the date is worked out when it
/// is another one.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// Days since the epoch.
    number: u32,
    /// Its first second.
    begin: [u8; RFC3339_S_BYTES],
}

impl Day {
    /// The day of the epoch.
    pub const EPOCH: Day = Day::of(0);

    const fn of(number: u32) -> Day {
        let (year, month, day) = civil_from_days(number);
        let [c, e] = pair(year / 100);
        let [d, y] = pair(year % 100);
        let [m0, m1] = pair(month);
        let [d0, d1] = pair(day);
        let zero = b'0';
        let begin =
            [c, e, d, y, b'-', m0, m1, b'-', d0, d1, b'T', zero, zero, b':', zero, zero, b':', zero, zero, b'Z'];
        Day { number, begin }
    }

    /// Writes a time, and remembers its day.
    #[inline]
    pub fn write(&mut self, time: Timestamp, text: &mut [u8; RFC3339_S_BYTES]) {
        let (day, seconds) = time.days_and_seconds();
        if day != self.number {
            *self = Day::of(day);
        }
        *text = self.begin;
        let [h0, h1] = pair(seconds / 3600);
        let [i0, i1] = pair(seconds / 60 % 60);
        let [s0, s1] = pair(seconds % 60);
        if let Some(behind) = text.last_chunk_mut() {
            *behind = [h0, h1, b':', i0, i1, b':', s0, s1, b'Z'];
        }
    }
}

/// The two decimal digits of each number below 100; as many entries as seven bits can name, so that none is missing.
static PAIRS: [[u8; 2]; 128] = {
    let mut pairs = [[b'0'; 2]; 128];
    let mut at = 0;
    while at < 100 {
        #[allow(clippy::cast_possible_truncation, reason = "below 100")]
        let value = at as u8;
        pairs[at] = [b'0' + value / 10, b'0' + value % 10];
        at += 1;
    }
    pairs
};

/// The two decimal digits of a value below 100.
const fn pair(value: u32) -> [u8; 2] {
    PAIRS[(value & 127) as usize]
}

/// The Gregorian date of a day since the epoch, by multiplications in place of divisions (Neri and Schneider,
/// "Euclidean affine functions and their application to calendar algorithms", 2022; numbers below 2^32 until the year
/// 32,767). Our own because it runs for every VERIFY answer; a test compares it with the library for every day.
const fn civil_from_days(days: u32) -> (u32, u32, u32) {
    // Days since the first of March of the year 0, so that a leap day is the last of its year, in quarters of a day.
    let quarters = 4 * (days + 719_468) + 3;
    let (century, quarters_of_century) = (quarters / 146_097, (quarters % 146_097) | 3);
    // 2,939,745 is 2^32 over the quarters of a year; of each day its last quarter is taken.
    let product = 2_939_745 * quarters_of_century as u64;
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of the product")]
    let (year_of_century, rest) = ((product >> 32) as u32, product as u32);
    let day_of_year = rest / 2_939_745 / 4;
    // Months of 30.6 days, in parts of 2^16 of a month, of which 2,141 are a day.
    let months = 2_141 * day_of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2_141 + 1);
    let begins_next_year = day_of_year >= 306;
    let year = 100 * century + year_of_century + if begins_next_year { 1 } else { 0 };
    (year, if begins_next_year { month - 12 } else { month }, day)
}

/// RFC 3339 in UTC, with milliseconds only where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.rfc3339(&mut [0; RFC3339_BYTES_MAX])).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_agrees_with_the_library() {
        for day in 0..=(UNIX_MS_MAX / 86_400_000) {
            // With every number of milliseconds, none among them.
            let ours = Timestamp::from_unix_ms(day * 86_400_000 + 45_296_000 + day % 1000);
            let theirs = jiff::Timestamp::from_millisecond(i64::try_from(ours.unix_ms()).unwrap()).unwrap();
            let text = ours.to_string();
            assert_eq!(text.parse::<jiff::Timestamp>().unwrap(), theirs);
            assert_eq!(text.len(), if day.is_multiple_of(1000) { 20 } else { RFC3339_BYTES_MAX }, "{text}");
        }
    }

    #[test]
    fn times_are_the_same_behind_one_of_any_day() {
        let mut day = Day::EPOCH;
        for seconds in [0, 86_399, 86_400, 86_399, 1_756_807_200, 1_756_807_201, 1_756_807_200 + 86_400, 0] {
            let time = Timestamp::from_unix_s(seconds);
            let mut text = [0; RFC3339_S_BYTES];
            day.write(time, &mut text);
            assert_eq!(text, time.rfc3339_s(), "{time}");
        }
    }

    #[test]
    fn reading_is_the_inverse_of_writing_and_takes_offsets() {
        for ms in [0, 1, 999, 1_000, 1_756_807_200_000, 1_756_807_200_120, UNIX_MS_MAX] {
            let time = Timestamp::from_unix_ms(ms);
            assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Some(time));
        }
        assert_eq!(
            Timestamp::parse_rfc3339("2025-09-02T12:00:00+02:00"),
            Timestamp::parse_rfc3339("2025-09-02T10:00:00Z")
        );
        for bad in
            ["", "yesterday", "2025-09-02", "2025-09-02T10:00:00", "1969-12-31T23:59:59Z", "2025-13-02T10:00:00Z"]
        {
            assert_eq!(Timestamp::parse_rfc3339(bad), None, "{bad}");
        }
    }
}
