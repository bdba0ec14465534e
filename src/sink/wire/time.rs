//! Points in time as RFC 3339 writes them, without a calendar library.

use core::fmt;

/// The last millisecond of the year 9999, the last that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

/// Milliseconds since 1970-01-01 UTC; displayed as `2026-11-23T15:17:43.250Z`, always 24 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.min(LAST_MS);
        let (year, month, day) = civil((ms / DAY_MS) as i64);
        let (hour, minute) = (ms / 3_600_000 % 24, ms / 60_000 % 60);
        let (second, fraction) = (ms / 1000 % 60, ms % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
    }
}

impl Timestamp {
    /// Reads what [`Display`](fmt::Display) writes; other forms of RFC 3339 and days that no calendar has are `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
        let has_marks = b"----T::.Z".iter().zip([4, 7, 4, 7, 10, 13, 16, 19, 23]).all(|(mark, at)| bytes[at] == *mark);
        let number = |from: usize, to: usize| {
            bytes[from..to]
                .iter()
                .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second, fraction) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
        let days = days(year as i64, month as i64, day as i64);
        let is_a_day = days >= 0 && civil(days) == (year as i64, month as i64, day as i64);
        let is_a_time = hour < 24 && minute < 60 && second < 60;
        let ms = || (((days as u64 * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction;
        (has_marks && is_a_day && is_a_time).then(|| Self(ms()))
    }
}

// Both from Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that the leap day is
// the last of its year; 719 468 days lie between 0000-03-01 and 1970-01-01, 146 097 in an era of 400 years.

/// Year, month and day of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

/// Days from 1970-01-01 to a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let from_march = (month + 9) % 12;
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_are_written_as_calendars_have_them() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_250, "2023-11-14T22:13:20.250Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ];
        for (ms, expected) in cases {
            assert_eq!(Timestamp(ms).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let cases = [
            "",
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20.250Z",
            "2023-02-29T22:13:20.250Z",
            "2023-13-14T22:13:20.250Z",
            "2023-11-14T24:13:20.250Z",
            "1969-12-31T23:59:59.999Z",
            "2023-11-14T22:13:20.25xZ",
            "２３-11-14T22:13:20.2Z",
        ];
        for text in cases {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..=LAST_MS) {
            prop_assert_eq!(Timestamp::parse(&Timestamp(ms).to_string()), Some(Timestamp(ms)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            Timestamp::parse(&text);
        }
    }
}
