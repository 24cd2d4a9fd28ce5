//! The page: one file, without anything from elsewhere.

use crate::plot;
use crate::results::{Results, Trouble};
use crate::stats::Spread;
use crate::summary::{self, OTHERS};
use crate::targets::{self, Outcome};
use crate::verdict::Verdict;
use benches::{Case, Group, Kind, Place, Subject, Unit};
use std::error::Error;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn html(results: &Results) -> Result<String, Box<dyn Error>> {
    let mut page = String::new();
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>multiprocess: figures</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
         <h1>multiprocess against its rivals</h1>\n"
    )?;
    head(&mut page, results)?;
    contents(&mut page, results)?;
    losses(&mut page, results)?;
    troubles(&mut page, results)?;
    aims(&mut page, results)?;
    overview(&mut page, results)?;
    for group in &results.groups {
        chapter(&mut page, results, group)?;
    }
    method(&mut page, results)?;
    page += "</body></html>\n";
    Ok(page)
}

fn head(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    let lines = summary::lines(results);
    let verdicts = |index: usize| {
        lines.iter().filter_map(move |line| line.others[index].as_ref().map(|other| line.against(other)))
    };
    let count =
        |index: usize, class: &str| verdicts(index).filter(|verdict| verdict.class() == class).count();
    write!(page, "<p class=\"lead\">")?;
    if verdicts(0).count() > 0 {
        write!(
            page,
            "Against the best library that also works between processes, ours is ahead in {} figures of {}, even in {} \
             and behind in {}. ",
            count(0, "win"),
            verdicts(0).count(),
            count(0, "even"),
            count(0, "loss"),
        )?;
    }
    let rows = targets::rows(results);
    let asked = rows.iter().filter(|row| !matches!(row.outcome, Outcome::Told | Outcome::Unmeasured)).count();
    if asked > 0 {
        let met = rows.iter().filter(|row| row.outcome == Outcome::Met).count();
        write!(page, "Of {asked} <a href=\"#targets\">targets</a> this run met {met}. ")?;
    }
    writeln!(
        page,
        "Every figure is the median of criterion's samples; the line beside it runs from the 10th to the 90th \
         percentile. All were taken in one run on one machine: trust the ratios, not the absolute figures.</p>"
    )?;
    let (before, after) = (results.machine.busy_before, results.machine.busy_after);
    if before.max(after) > 0.1 {
        writeln!(
            page,
            "<p class=\"warn\">The machine had other work to do ({before:.2} CPUs busy before the run, {after:.2} after \
             it): these figures are disturbed. Run again on an idle machine.</p>",
        )?;
    }
    if results.quick {
        writeln!(
            page,
            "<p class=\"warn\">The quick form: one short round. <code>cargo xtask bench</code> takes longer and says more.</p>"
        )?;
    }
    page.push_str("<table class=\"facts\">\n");
    for (name, value) in &results.machine.facts {
        writeln!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value))?;
    }
    let busy = format!("{before:.2} CPUs just before, {after:.2} just after");
    writeln!(page, "<tr><th>Work of others</th><td>{busy}</td></tr>")?;
    writeln!(page, "<tr><th>Command</th><td><code>{}</code></td></tr>", escape(&results.command))?;
    page.push_str("</table>\n");
    Ok(())
}

/// Where to find what.
fn contents(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    page.push_str("<p class=\"contents\">");
    for (key, title) in
        [("losses", "Where a rival is ahead"), ("missing", "What is missing"), ("targets", "Targets")]
    {
        write!(page, "<a href=\"#{key}\">{title}</a> · ")?;
    }
    page.push_str("<a href=\"#glance\">At a glance</a>");
    for group in &results.groups {
        write!(page, " · <a href=\"#{}\">{}</a>", escape(&group.key), escape(&group.title))?;
    }
    page.push_str(" · <a href=\"#how\">How it was measured</a></p>\n");
    Ok(())
}

/// What did not run, before any figure that might flatter us by its absence.
fn troubles(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    page.push_str("<h2 id=\"missing\">What is missing</h2>\n");
    let troubles = results.troubles();
    if troubles.is_empty() && results.unbuilt.is_none() {
        page.push_str("<p>Nothing: everything that was to be measured was measured.</p>\n");
        return Ok(());
    }
    page.push_str("<ul>\n");
    if let Some(unbuilt) = &results.unbuilt {
        writeln!(page, "<li>{}</li>", escape(unbuilt))?;
    }
    for (why, figures) in troubles {
        let names: Vec<String> =
            figures.iter().map(|name| format!("<code>{}</code>", escape(name))).collect();
        let (why, names) = (escape(&why), names.join(", "));
        if figures.len() <= 3 {
            writeln!(page, "<li>{names}: {why}</li>")?;
        } else {
            let count = format!("{} of {} figures", figures.len(), results.figures.len());
            writeln!(page, "<li><details><summary>{count}: {why}</summary>{names}</details></li>")?;
        }
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// What we want to reach, and our own figures against each other.
fn aims(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    let (within, others): (Vec<_>, Vec<_>) = targets::rows(results).into_iter().partition(|row| row.within);
    for (key, title, what, rows) in [
        (
            "targets",
            "Targets",
            "What each figure is wanted to reach, and whether it did in this run, without any allowance for noise.",
            others,
        ),
        (
            "within",
            "Within ourselves",
            "Our own figures against each other: what a large parent, an option, a type or more workers cost.",
            within,
        ),
    ] {
        if rows.is_empty() {
            continue;
        }
        writeln!(
            page,
            "<h2 id=\"{key}\">{title}</h2>\n<p>{what}</p>\n<table><tr><th>figure</th><th>ours</th><th>where</th>\
             <th>wanted</th><th>found</th><th></th></tr>"
        )?;
        let (mut last, mut last_case) = ("", "");
        for row in rows {
            if row.group.key != last {
                (last, last_case) = (&row.group.key, "");
                writeln!(
                    page,
                    "<tr class=\"group\"><td colspan=\"6\">{}</td></tr>",
                    escape(&row.group.title)
                )?;
            }
            writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"where\">{}</td><td>{}</td><td class=\"n\">{}</td>\
                 <td class=\"{}\">{}</td></tr>",
                heading(row.group, row.case, &mut last_case),
                escape(&row.subject.name),
                row.place.name(),
                escape(&row.wanted),
                escape(&row.found),
                row.outcome.class(),
                row.outcome,
            )?;
        }
        page.push_str("</table>\n");
    }
    Ok(())
}

/// Where a rival is ahead, said before all else.
fn losses(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    let lines = summary::lines(results);
    let mut lost = lines
        .iter()
        .filter_map(|line| {
            let rival = line.others[0].as_ref()?;
            let verdict = line.against(rival);
            matches!(verdict, Verdict::Loss(_)).then_some((line, rival.0, verdict))
        })
        .peekable();
    page.push_str("<h2 id=\"losses\">Where a rival is ahead</h2>\n");
    if lost.peek().is_none() {
        page.push_str(
            "<p>Nowhere in this run. Bare calls and threads are another matter: see the table below.</p>\n",
        );
        return Ok(());
    }
    page.push_str("<ul>\n");
    for (line, rival, verdict) in lost {
        writeln!(
            page,
            "<li><a href=\"#{}-{}\">{}</a>, {}: <b>{}</b>, {} than {}</li>",
            escape(&line.group.key),
            escape(&line.case.key),
            escape(&line.case.title),
            line.place.name(),
            escape(&line.ours.0.name),
            verdict.words(&line.case.unit),
            escape(&rival.name),
        )?;
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// A case's title, once for all lines of it that follow each other.
fn heading<'a>(group: &Group, case: &'a Case, last: &mut &'a str) -> String {
    if std::mem::replace(last, &case.key) == case.key {
        return String::new();
    }
    format!("<a href=\"#{}-{}\">{}</a>", escape(&group.key), escape(&case.key), escape(&case.title))
}

fn overview(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    page.push_str(
        "<h2 id=\"glance\">At a glance</h2>\n<table><tr><th>figure</th><th>where</th><th>ours</th>",
    );
    for (_, name) in OTHERS {
        write!(page, "<th>{name}</th><th>ours is</th>")?;
    }
    page.push_str("</tr>\n");
    let (mut last, mut last_case) = ("", "");
    for line in summary::lines(results) {
        if line.group.key != last {
            (last, last_case) = (&line.group.key, "");
            let (key, title) = (escape(last), escape(&line.group.title));
            writeln!(page, "<tr class=\"group\"><td colspan=\"9\"><a href=\"#{key}\">{title}</a></td></tr>")?;
        }
        let (subject, spread) = line.ours;
        write!(
            page,
            "<tr><td>{}</td><td class=\"where\">{}</td><td>{}<br><small>{}</small></td>",
            heading(line.group, line.case, &mut last_case),
            line.place.name(),
            line.case.unit.show(spread.median),
            escape(&subject.name),
        )?;
        for other in &line.others {
            match other {
                Some(other) => {
                    let verdict = line.against(other);
                    let figure = line.case.unit.show(other.1.median);
                    write!(page, "<td>{figure}<br><small>{}</small></td>", escape(&other.0.name))?;
                    write!(page, "{}", cell(verdict, &line.case.unit))?;
                }
                None => page.push_str("<td></td><td></td>"),
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    Ok(())
}

fn chapter(page: &mut String, results: &Results, group: &Group) -> Result<(), Box<dyn Error>> {
    let (key, title) = (escape(&group.key), escape(&group.title));
    writeln!(page, "<h2 id=\"{key}\">{title}</h2>\n<p>{}</p>", escape(&group.what))?;
    for case in &group.cases {
        writeln!(page, "<h3 id=\"{key}-{}\">{}</h3>", escape(&case.key), escape(&case.title))?;
        writeln!(page, "<p>{}</p>", escape(&case.what))?;
        match plot::svg(results, group, case)? {
            Some(svg) => {
                writeln!(page, "<figure>{svg}</figure>\n<details><summary>In numbers</summary>")?;
                table(page, results, group, case)?;
                page.push_str("</details>\n");
            }
            None => table(page, results, group, case)?,
        }
        let first = case.subjects.first().map_or("", |subject| subject.key.as_str());
        writeln!(
            page,
            "<p class=\"command\">Alone: <code>cargo bench -p benches --features rivals --bench {key} -- {}/</code>, \
             or <code>{}/{first}/</code> for ours.</p>",
            escape(&case.key),
            escape(&case.key),
        )?;
    }
    Ok(())
}

/// Each other beside each of ours.
fn table(page: &mut String, results: &Results, group: &Group, case: &Case) -> Result<(), Box<dyn Error>> {
    page.push_str(
        "<table><tr><th>where</th><th>ours</th><th>median</th><th>10 to 90 %</th><th>other</th><th></th>\
         <th>median</th><th>10 to 90 %</th><th>ours is</th></tr>\n",
    );
    let (ours, others): (Vec<&Subject>, Vec<&Subject>) =
        case.subjects.iter().partition(|subject| subject.kind == Kind::Ours);
    for place in Place::ALL {
        for our in ours.iter().filter(|our| our.places.contains(&place)) {
            let mut first = true;
            let mine = Cells::of(results, group, case, our, place);
            let mut others = others.iter().filter(|other| other.places.contains(&place)).peekable();
            if others.peek().is_none() {
                writeln!(page, "<tr>{}<td colspan=\"5\"></td></tr>", mine.ours(place, our))?;
            }
            for other in others {
                let theirs = Cells::of(results, group, case, other, place);
                let left = if first { mine.ours(place, our) } else { "<td colspan=\"4\"></td>".into() };
                first = false;
                write!(page, "<tr>{left}<td>{}</td><td>{}</td>", escape(&other.name), other.kind.word())?;
                match (&mine.spread, &theirs.spread) {
                    (Some(mine), Some(spread)) => {
                        let verdict = cell(Verdict::of(mine.median, spread.median), &case.unit);
                        writeln!(page, "{}{verdict}</tr>", theirs.text)?;
                    }
                    _ => writeln!(page, "{}<td></td></tr>", theirs.text)?,
                }
            }
        }
    }
    page.push_str("</table>\n");
    Ok(())
}

/// Median and spread of one participant, or why there are none.
struct Cells {
    spread: Option<Spread>,
    text: String,
}

impl Cells {
    fn of(results: &Results, group: &Group, case: &Case, subject: &Subject, place: Place) -> Self {
        let figure = results.figure(group, case, subject, place);
        let spread = figure.and_then(|figure| Spread::of(&figure.samples));
        let text = match spread {
            Some(spread) => {
                let show = |cost| case.unit.show(cost);
                // A low cost is a high speed: the smaller number stands first.
                let (a, b) = match case.unit.is_speed() {
                    true => (show(spread.high), show(spread.low)),
                    false => (show(spread.low), show(spread.high)),
                };
                let range = if a == b { String::new() } else { format!("{a} – {b}") };
                format!(
                    "<td class=\"n\">{}</td><td class=\"n\"><small>{range}</small></td>",
                    show(spread.median)
                )
            }
            None => {
                let trouble = figure.and_then(|figure| figure.trouble.as_ref());
                let said = match trouble {
                    Some(Trouble::Skipped) => "not run".into(),
                    Some(trouble) => escape(&trouble.to_string()),
                    None => String::new(),
                };
                format!("<td colspan=\"2\" class=\"gone\">{said}</td>")
            }
        };
        Cells { spread, text }
    }

    fn ours(&self, place: Place, our: &Subject) -> String {
        format!("<td class=\"where\">{}</td><td><b>{}</b></td>{}", place.name(), escape(&our.name), self.text)
    }
}

fn cell(verdict: Verdict, unit: &Unit) -> String {
    format!("<td class=\"{}\">{}</td>", verdict.class(), verdict.words(unit))
}

fn method(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    writeln!(
        page,
        "<h2 id=\"how\">How it was measured</h2>\n<ul>\n\
         <li>Each participant of each figure ran in a process of its own, driven by criterion (flat sampling), and was \
         killed after a time limit. Those of one figure followed each other; the whole was done in {} round(s), and the \
         samples of all rounds count alike.</li>\n\
         <li>“One CPU” binds both sides to the same CPU, “two CPUs apart” each side to its own, “free” leaves both to the \
         kernel.</li>\n\
         <li>Not every figure is taken at every place. A parent of 1 GiB is left free: what it costs is memory, not \
         CPUs. Pools are free or on one CPU: two workers and their caller have no two sides to set apart. What one \
         process does alone has one place.</li>\n\
         <li>A target is met or missed by medians, as they are. Where both figures are ours, their cases were measured one \
         after the other.</li>\n\
         <li>What is idle, and the memory of a task, is found once in each round, by what the kernel says of the \
         process.</li>\n\
         <li>“Ours is” compares medians. A difference below 5 % is called even.</li>\n\
         <li>“Bare” is the system call or instruction underneath, used by hand without what a library must do; “threads” \
         are libraries inside one process, where nothing is copied or protected.</li>\n\
         <li>Python measures itself by its own clock: its start and our pipe to it are not counted.</li>\n\
         <li>All samples are in <code>results.json</code> beside this page; the programs are in <code>benches/</code>.</li>\n\
         <li>The same again: <code>{command}</code> at the commit above. It builds by <code>cargo build --release -p \
         benches --features rivals --bin figures --bench start --bench run --bench lock --bench message --bench pool \
         --bench idle</code> and calls <code>figures</code>; below each figure stands the command for it alone.</li>\n\
         </ul>",
        results.rounds,
        command = escape(&results.command),
    )?;
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
