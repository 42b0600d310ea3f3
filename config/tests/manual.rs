//! The manual is whole: every rule and every key of the original has its line, and every link leads somewhere.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use systembot_config::{Loaded, parse, to_toml};
use systembot_model::{event::Event, judge::RuleKind};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The pages of the manual and what leads to them.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages
}

/// The text of a page without its code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What GitHub and others make of a heading: lower case, blanks to hyphens, nothing but letters and digits.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    let slug = |line: &str| {
        let title: String = line.trim_start_matches('#').trim().chars().filter(|c| kept(*c)).collect();
        title.to_lowercase().replace(' ', "-")
    };
    headings.map(slug).collect()
}

/// Where the links of a page lead to, but for those into the world.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for path in pages() {
        let text = prose(&fs::read_to_string(&path).unwrap());
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let anchors = anchors(&prose(&fs::read_to_string(&target).unwrap()));
                assert!(
                    anchors.iter().any(|known| known == anchor),
                    "{}: {link} of {anchors:?}",
                    path.display()
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "{followed}");
}

#[test]
fn every_page_is_linked_from_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for path in pages() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || readme.contains(&format!("{name})")), "{name}");
    }
}

#[test]
fn every_rule_has_its_line() {
    let operations = page("operations.md");
    for rule in RuleKind::ALL {
        assert!(operations.contains(&format!("\n| `{}` | `", rule.name())), "{}", rule.name());
    }
}

/// Kinds that the pages tell the reader to ask for.
#[test]
fn every_kind_of_event_that_is_asked_for_exists() {
    let mut asked = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        let kinds = text.split("--kind ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        for kind in kinds.flat_map(|kinds| kinds.trim_end_matches('`').split(',')) {
            assert!(Event::KINDS.contains(&kind), "{}: {kind}", path.display());
            asked += 1;
        }
    }
    assert!(asked > 4, "{asked}");
}

/// The blocks of a page in one language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

fn load(text: &str) -> Loaded {
    parse(text, Path::new("page"), "myhost").map_err(|mistakes| mistakes.report()).unwrap()
}

#[test]
fn every_configuration_in_the_manual_is_in_order() {
    let mut seen = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        // One of the walk-through is wrong on purpose.
        for block in blocks(&text, "toml").into_iter().filter(|block| !block.contains("disk_used_percentage"))
        {
            assert_eq!(load(block).warnings, [], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn the_moved_configuration_is_the_same() {
    let page = page("migration.md");
    let (legacy, toml) = (blocks(&page, "ini"), blocks(&page, "toml"));
    let [before, after] = [legacy, toml].map(|blocks| load(blocks.first().unwrap()).settings);
    assert_eq!(to_toml(&before), to_toml(&after));
}
