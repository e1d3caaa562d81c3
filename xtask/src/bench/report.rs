//! The report: text, JSON and plots, on disk after each part, so that what was measured stays if a later part fails; and the
//! chapter of the book that is made of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::machine::Facts;
use super::table::{self, Target};
use super::{Part, Section};

/// The chapter, and the folder of its plots.
const CHAPTER: &str = "figures.md";
const PLOTS: &str = "figures";
/// The place in the chapter of the list of all targets.
const TARGETS: &str = "targets";

pub(super) struct Report {
    folder: PathBuf,
    facts: Facts,
    text: String,
    figures: Map<String, Value>,
    /// What the book gets of each part.
    chapter: Vec<(String, String)>,
    plots: Vec<(&'static str, String)>,
}

impl Report {
    pub(super) fn begin(folder: &Path, facts: Facts) -> Result<Report> {
        let figures = Map::from_iter([("machine".to_owned(), facts.json())]);
        let text = format!("# What Oko costs\n\n{facts}");
        let (chapter, plots) = (Vec::new(), Vec::new());
        let mut report =
            Report { folder: folder.to_owned(), facts, text: String::new(), figures, chapter, plots };
        report.print(&text)?;
        Ok(report)
    }

    pub(super) fn text_file(&self) -> PathBuf {
        self.folder.join("report.txt")
    }

    /// Adds a part, measured or not; its targets.
    pub(super) fn add(&mut self, part: Part, section: Result<Section>) -> Result<Vec<Target>> {
        let Section { mut text, mut figures, targets, plots } = section.unwrap_or_else(|error| Section {
            text: format!("Not measured: {error:#}\n"),
            figures: json!({ "error": format!("{error:#}") }),
            targets: Vec::new(),
            plots: Vec::new(),
        });
        if !targets.is_empty() {
            let (table, targets) = table::targets(&targets);
            text += &format!("\n{table}");
            if figures.is_object() {
                figures["targets"] = targets;
            } else {
                figures = json!({ "cells": figures, "targets": targets });
            }
        }
        for (name, svg) in &plots {
            let file = self.folder.join(name).with_extension("svg");
            std::fs::write(&file, svg).with_context(|| format!("cannot write {}", file.display()))?;
        }
        self.figures.insert(part.name(), figures);
        self.print(&format!("\n## {}\n\n{}\n", part.title(), text.trim_end()))?;
        let pictures: String =
            plots.iter().map(|(name, _)| format!("\n\n![{}]({PLOTS}/{name}.svg)", part.title())).collect();
        self.chapter.push((part.name(), format!("{}{pictures}", text.trim_end())));
        self.plots.extend(plots);
        Ok(targets)
    }

    /// Adds the list of all targets; it goes to the book, too, if all parts were measured.
    pub(super) fn end(&mut self, targets: &[Target], is_whole: bool) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let (text, _) = table::targets(targets);
        if is_whole {
            self.chapter.push((TARGETS.to_owned(), text.trim_end().to_owned()));
        }
        self.print(&format!("\n## All targets\n\n{}\n", text.trim_end()))
    }

    fn print(&mut self, text: &str) -> Result<()> {
        print!("{text}");
        self.text.push_str(text);
        std::fs::write(self.text_file(), &self.text)?;
        std::fs::write(self.folder.join("report.json"), serde_json::to_vec_pretty(&self.figures)?)?;
        Ok(())
    }

    /// Writes the tables of the measured parts into the chapter in the place of older ones, each with where and when it was measured.
    pub(super) fn write_book(&self, book: &Path) -> Result<()> {
        let file = book.join(CHAPTER);
        let mut chapter =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for (part, text) in &self.chapter {
            let text = format!("{}\n\n{text}", self.facts.line());
            chapter = replace(&chapter, part, &text)
                .with_context(|| format!("cannot change {}", file.display()))?;
        }
        std::fs::write(&file, chapter)?;
        let folder = book.join(PLOTS);
        std::fs::create_dir_all(&folder)?;
        for (name, svg) in &self.plots {
            std::fs::write(folder.join(name).with_extension("svg"), svg)?;
        }
        Ok(())
    }
}

/// A chapter with another text between the marks of a part.
fn replace(chapter: &str, part: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
    let found = chapter.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some(format!("{before}{begin}\n{text}\n\n{end}{after}"))
    });
    found.with_context(|| format!("it has no lines `{}` and `{end}`", begin.trim_end()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::run::root;

    #[test]
    fn the_chapter_has_a_place_for_each_part_and_keeps_the_others() -> Result<()> {
        let chapter = std::fs::read_to_string(root().join("book/src").join(CHAPTER))?;
        let parts = Part::value_variants().iter().map(|part| part.name());
        for part in parts.chain([TARGETS.to_owned()]) {
            let (one, two) = (replace(&chapter, &part, "one")?, replace(&chapter, &part, "two")?);
            assert!(one.contains("\none\n"), "{part}");
            assert_eq!(replace(&one, &part, "two")?, two);
        }
        assert!(replace(&chapter, "nothing", "").is_err());
        Ok(())
    }
}
