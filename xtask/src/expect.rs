//! What an example says that it prints: the text block after a line `Prints:` of its first page.
//!
//! `{}` stands for anything or nothing, `{name}` for the same thing wherever it occurs.

use std::collections::HashMap;

/// What the lines are held to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// `Prints:` these lines.
    Exact,
    /// `Prints, in any order:` these lines, and no others.
    Any,
    /// `Prints, first of all:` these lines.
    Start,
}

pub(crate) struct Expected {
    order: Order,
    lines: Vec<String>,
}

impl Expected {
    /// Reads the page; one that says nothing expects nothing in particular.
    pub(crate) fn of_page(page: &str) -> Result<Expected, String> {
        let mut lines =
            page.lines().map_while(|line| line.strip_prefix("//!")).map(|l| l.strip_prefix(' ').unwrap_or(l));
        let order = lines.by_ref().find_map(|line| match line {
            "Prints:" => Some(Order::Exact),
            "Prints, in any order:" => Some(Order::Any),
            "Prints, first of all:" => Some(Order::Start),
            _ => None,
        });
        let Some(order) = order else { return Ok(Expected { order: Order::Start, lines: Vec::new() }) };
        if lines.by_ref().find(|line| !line.is_empty()) != Some("```text") {
            return Err("no text block follows its `Prints`".into());
        }
        let lines = lines.take_while(|line| *line != "```").map(str::to_owned).collect();
        Ok(Expected { order, lines })
    }

    /// Holds the output against it.
    pub(crate) fn check(&self, printed: &str) -> Result<(), String> {
        let mut names = HashMap::new();
        let mut left: Vec<&str> = printed.lines().collect();
        for line in &self.lines {
            let reach = if self.order == Order::Any { left.len() } else { left.len().min(1) };
            let Some(at) = left[..reach].iter().position(|actual| matches(line, actual, &mut names)) else {
                return Err(format!("expected `{line}`, found `{}`", left.first().unwrap_or(&"the end")));
            };
            left.remove(at);
        }
        match left.first() {
            Some(line) if self.order != Order::Start => Err(format!("did not expect `{line}`")),
            _ => Ok(()),
        }
    }
}

/// Whether `actual` is an instance of `pattern`; learns the names that it meets.
fn matches(pattern: &str, actual: &str, names: &mut HashMap<String, String>) -> bool {
    let mut learned = names.clone();
    if !fits(pattern, actual, &mut learned) {
        return false;
    }
    *names = learned;
    true
}

fn fits(pattern: &str, actual: &str, names: &mut HashMap<String, String>) -> bool {
    let Some((before, (name, after))) =
        pattern.split_once('{').and_then(|(b, rest)| Some((b, rest.split_once('}')?)))
    else {
        return pattern == actual;
    };
    let Some(rest) = actual.strip_prefix(before) else { return false };
    if let Some(known) = names.get(name) {
        return rest.strip_prefix(known.as_str()).is_some_and(|rest| fits(after, rest, &mut names.clone()));
    }
    let least = usize::from(!name.is_empty());
    for end in (least..=rest.len()).filter(|end| rest.is_char_boundary(*end)) {
        let mut learned = names.clone();
        if !name.is_empty() {
            learned.insert(name.to_owned(), rest[..end].to_owned());
        }
        if fits(after, &rest[end..], &mut learned) {
            *names = learned;
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &str, printed: &str) -> bool {
        Expected::of_page(page).unwrap().check(printed).is_ok()
    }

    #[test]
    fn lines_are_held_to_their_order_and_names() {
        let page = "//! Prints:\n//!\n//! ```text\n//! a {x}\n//! {x} b {}\n//! ```\n";
        assert!(check(page, "a 7\n7 b 9\n"));
        assert!(!check(page, "a 7\n8 b 9\n"), "one name, two values");
        assert!(!check(page, "7 b 9\na 7\n"), "the other order");
        assert!(!check(page, "a 7\n7 b 9\nc\n"), "a line too many");
        assert!(!check(page, "a 7\n"), "a line too few");
    }

    #[test]
    fn any_order_and_beginnings() {
        let any = "//! Prints, in any order:\n//!\n//! ```text\n//! a {}\n//! b\n//! ```\n";
        assert!(check(any, "b\na 7\n") && !check(any, "b\n") && !check(any, "b\na 7\nc\n"));
        let start = "//! Prints, first of all:\n//!\n//! ```text\n//! a\n//! ```\n";
        assert!(check(start, "a\nb\n") && !check(start, "b\na\n"));
    }

    #[test]
    fn a_page_that_says_nothing_expects_nothing() {
        assert!(check("//! An example.\n", "anything\n"));
    }
}
