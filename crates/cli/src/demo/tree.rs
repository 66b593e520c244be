//! [`Tree`]: a hierarchy as lines of text.

/// How branches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Art {
    /// With lines.
    Lines,
    /// With what every terminal, log and font has.
    Ascii,
}

impl Art {
    /// A line without what can't be shown: files may be called anything.
    pub(super) fn fit(self, line: &str) -> String {
        match self {
            Self::Lines => line.to_owned(),
            Self::Ascii => line.replace(|c: char| !c.is_ascii(), "?"),
        }
    }

    /// The strokes for: a child, the last child, a level that goes on, one that does not.
    fn strokes(self) -> [&'static str; 4] {
        match self {
            Self::Lines => ["├─ ", "└─ ", "│  ", "   "],
            Self::Ascii => ["|- ", "`- ", "|  ", "   "],
        }
    }
}

/// A key and what it wraps.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    label: String,
    note: String,
    children: Vec<Tree>,
}

/// One line of a drawn tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The strokes before the label.
    pub(super) branch: String,
    pub(super) label: String,
    /// A remark behind it, or nothing.
    pub(super) note: String,
}

impl Tree {
    /// A key that wraps nothing yet.
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            note: String::new(),
            children: Vec::new(),
        }
    }

    /// With a remark.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// With something that it wraps.
    pub(super) fn over(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Draws it, top down.
    pub(super) fn lines(&self, art: Art) -> Vec<Line> {
        let mut lines = Vec::new();
        self.draw(art, "", "", &mut lines);
        lines
    }

    /// `first` stands before this label, `rest` before all below it.
    fn draw(&self, art: Art, first: &str, rest: &str, lines: &mut Vec<Line>) {
        lines.push(Line {
            branch: first.to_owned(),
            label: self.label.clone(),
            note: self.note.clone(),
        });
        let [child, last_child, on, off] = art.strokes();
        let Some((last, others)) = self.children.split_last() else {
            return;
        };
        for tree in others {
            tree.draw(
                art,
                &format!("{rest}{child}"),
                &format!("{rest}{on}"),
                lines,
            );
        }
        last.draw(
            art,
            &format!("{rest}{last_child}"),
            &format!("{rest}{off}"),
            lines,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_in_both_arts() {
        let tree = Tree::new("root")
            .over(Tree::new("a").over(Tree::new("a1").over(Tree::new("deep"))))
            .over(
                Tree::new("b")
                    .note("!")
                    .over(Tree::new("b1"))
                    .over(Tree::new("b2")),
            );
        let text = |art| {
            let lines = tree.lines(art);
            let lines = lines
                .iter()
                .map(|line| format!("{}{}{}\n", line.branch, line.label, line.note));
            lines.collect::<String>()
        };
        assert_eq!(
            text(Art::Ascii),
            "root\n|- a\n|  `- a1\n|     `- deep\n`- b!\n   |- b1\n   `- b2\n"
        );
        assert_eq!(
            text(Art::Lines),
            "root\n├─ a\n│  └─ a1\n│     └─ deep\n└─ b!\n   ├─ b1\n   └─ b2\n"
        );
    }
}
