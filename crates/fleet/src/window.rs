//! Maintenance windows: when hosts may be begun with.
//!
//! As text: days of the week, then from when to when, in UTC and to the minute.
//! ```text
//! mon,wed 22:00-04:00     on Mondays and Wednesdays, until four in the morning of the day after
//! daily 01:00-05:00       every day
//! sat,sun 00:00-00:00     all day long
//! ```
//! The first minute belongs to a window, the last does not. The days are those on which a window opens.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind, Timestamp};

const DAY: i64 = 86_400;
/// As they are written, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// All of them, as bits, Monday lowest.
const DAILY: u8 = 0b111_1111;

/// One window, which comes again every week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// On which days it opens: a bit for each, Monday lowest; at least one.
    days: u8,
    /// From which minute of the day.
    from: u16,
    /// To which minute; of the day after, unless that is later than `from`.
    to: u16,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no maintenance window: write days and hours in UTC, `mon,wed 22:00-04:00`")]
pub struct BadWindow {
    /// It.
    text: String,
}

impl Explain for BadWindow {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Window {
    /// `now` when it is open; otherwise when it opens next.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Timestamp {
        let today = now.as_unix().div_euclid(DAY);
        // Yesterday's may still be open; within eight days each comes again.
        let openings = (today - 1..=today + 7).filter(|day| self.is_on(*day));
        let opening = openings
            .map(|day| day * DAY + i64::from(self.from) * 60)
            .find(|opens| now.as_unix() < opens + self.seconds());
        // There is one, as each window has a day.
        opening.map_or(now, |opens| Timestamp::from_unix(opens).max(now))
    }

    /// For how long it is open.
    fn seconds(&self) -> i64 {
        let minutes = i64::from(self.to) - i64::from(self.from);
        (if minutes > 0 { minutes } else { minutes + 24 * 60 }) * 60
    }

    /// Whether it opens on this day since the epoch, which was a Thursday.
    fn is_on(&self, day: i64) -> bool {
        self.days >> (day + 3).rem_euclid(7) & 1 == 1
    }
}

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        parsed(text).ok_or_else(|| BadWindow { text: text.chars().take(100).collect() })
    }
}

fn parsed(text: &str) -> Option<Window> {
    let (days, hours) = text.trim().split_once(' ')?;
    let (from, to) = hours.trim().split_once('-')?;
    let days = match days {
        "daily" => DAILY,
        days => days.split(',').try_fold(0, |days, day| {
            let place = DAYS.iter().position(|known| *known == day)?;
            Some(days | 1 << place)
        })?,
    };
    Some(Window { days, from: minute(from)?, to: minute(to)? })
}

/// `04:30` as minutes.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_fair = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes): (u16, u16) = match (is_fair(hours), is_fair(minutes)) {
        (true, true) => (hours.parse().ok()?, minutes.parse().ok()?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == DAILY {
            f.write_str("daily")?;
        } else {
            let days = DAYS.iter().enumerate().filter(|(place, _)| self.days >> place & 1 == 1);
            let days: Vec<&str> = days.map(|(_, day)| *day).collect();
            f.write_str(&days.join(","))?;
        }
        let [from, to] = [self.from, self.to].map(|minute| (minute / 60, minute % 60));
        write!(f, " {:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u8, hour: u8, minute: u8) -> Timestamp {
        // 2026-11-02 is a Monday.
        Timestamp::from_fields((2026, 11, day, hour, minute, 0)).unwrap()
    }

    #[test]
    fn they_open_and_close() {
        for (window, now, opens) in [
            ("mon 22:00-23:30", at(2, 21, 59), at(2, 22, 0)),
            ("mon 22:00-23:30", at(2, 22, 0), at(2, 22, 0)),
            ("mon 22:00-23:30", at(2, 23, 29), at(2, 23, 29)),
            ("mon 22:00-23:30", at(2, 23, 30), at(9, 22, 0)),
            ("mon,wed 22:00-04:00", at(3, 3, 59), at(3, 3, 59)),
            ("mon,wed 22:00-04:00", at(3, 4, 0), at(4, 22, 0)),
            ("daily 01:00-05:00", at(7, 5, 0), at(8, 1, 0)),
            ("sun 00:00-00:00", at(8, 23, 59), at(8, 23, 59)),
            ("sun 00:00-00:00", at(9, 0, 0), at(15, 0, 0)),
            ("sun 23:00-01:00", at(9, 0, 30), at(9, 0, 30)),
            ("tue 10:00-10:00", at(4, 9, 59), at(4, 9, 59)),
        ] {
            let window: Window = window.parse().unwrap();
            assert_eq!(window.opens(now), opens, "{window} at {now}");
        }
    }

    #[test]
    fn they_are_text_and_back() {
        for (text, written) in [
            ("mon,wed 22:00-04:00", Some("mon,wed 22:00-04:00")),
            ("sun,mon 00:00-00:00", Some("mon,sun 00:00-00:00")),
            ("mon,tue,wed,thu,fri,sat,sun 01:05-05:00", Some("daily 01:05-05:00")),
            ("daily 01:05-05:00", Some("daily 01:05-05:00")),
            ("", None),
            ("daily", None),
            ("monday 01:00-05:00", None),
            ("mon, 01:00-05:00", None),
            ("mon 1:00-05:00", None),
            ("mon 24:00-05:00", None),
            ("mon 01:60-05:00", None),
            ("mon 01:00-05:00 CET", None),
            ("mon +1:00-05:00", None),
        ] {
            let found = text.parse::<Window>().ok().map(|window| window.to_string());
            assert_eq!(found.as_deref(), written, "{text}");
        }
    }
}
