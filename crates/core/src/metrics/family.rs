//! Counters as collectors read them: the text of Prometheus, or JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Time;

/// What a family is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Classes of time.
    Times,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A whole number.
    Count(u64),
    /// Classes of time.
    Times {
        /// Upper end in seconds, and how many lie in the class.
        buckets: Vec<(f64, u64)>,
        /// All, those above the last class too.
        count: u64,
        /// Seconds.
        sum: f64,
        /// The shortest, seconds.
        min: f64,
        /// The longest, seconds.
        max: f64,
        /// The sum of their squares.
        squares: f64,
    },
}

type Labels = Vec<(&'static str, String)>;

/// Values of one name that differ in their labels.
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    points: Vec<(Labels, Value)>,
}

impl Family {
    pub(super) fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        Self {
            name,
            help,
            kind,
            points: Vec::new(),
        }
    }

    pub(super) fn single(name: &'static str, help: &'static str, kind: Kind, value: Value) -> Self {
        let mut family = Self::new(name, help, kind);
        family.push(Vec::new(), value);
        family
    }

    pub(super) fn push(&mut self, labels: Labels, value: Value) {
        self.points.push((labels, value));
    }
}

/// Prometheus' text format, version 0.0.4.
pub(super) fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families.iter().filter(|family| !family.points.is_empty()) {
        let name = family.name;
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Times => "histogram",
        };
        // To write into a text never fails.
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
        for (labels, value) in &family.points {
            match value {
                Value::Count(count) => {
                    let _ = writeln!(out, "{name}{} {count}", braces(labels, None));
                }
                Value::Times {
                    buckets,
                    count,
                    sum,
                    ..
                } => {
                    let mut below = 0;
                    for (end, inside) in buckets {
                        below += inside;
                        let braces = braces(labels, Some(&end.to_string()));
                        let _ = writeln!(out, "{name}_bucket{braces} {below}");
                    }
                    let _ = writeln!(out, "{name}_bucket{} {count}", braces(labels, Some("+Inf")));
                    let plain = braces(labels, None);
                    let _ = writeln!(out, "{name}_sum{plain} {sum}\n{name}_count{plain} {count}");
                }
            }
        }
    }
    out
}

fn braces(labels: &Labels, end: Option<&str>) -> String {
    let escape = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        text.replace('\n', "\\n")
    };
    let pairs = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let pairs: Vec<String> = pairs
        .chain(end.map(|end| ("le", end)))
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    }
}

/// The same as JSON, in the shape that tools of existing servers read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Report<'a> {
    timestamp: String,
    gauges: Vec<Gauge<'a>>,
    points: [(); 0],
    counters: Vec<Sample<'a>>,
    samples: Vec<Sample<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Gauge<'a> {
    name: &'a str,
    value: u64,
    labels: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sample<'a> {
    name: &'a str,
    count: u64,
    /// Of the sum, in a second.
    rate: f64,
    sum: f64,
    min: f64,
    max: f64,
    mean: f64,
    stddev: f64,
    labels: BTreeMap<&'a str, &'a str>,
}

/// `up`: for how long was counted.
pub(super) fn report(families: &[Family], now: Time, up: Duration) -> Report<'_> {
    let rate = |sum: f64| sum / up.as_secs_f64().max(1.0);
    let mut report = Report {
        timestamp: now.rfc3339(),
        gauges: Vec::new(),
        points: [],
        counters: Vec::new(),
        samples: Vec::new(),
    };
    for family in families {
        for (labels, value) in &family.points {
            let name = family.name;
            let labels = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
            match (family.kind, value) {
                (Kind::Gauge, Value::Count(value)) => report.gauges.push(Gauge {
                    name,
                    value: *value,
                    labels,
                }),
                (_, Value::Count(count)) => {
                    // Each adds one.
                    let one = if *count == 0 { 0.0 } else { 1.0 };
                    report.counters.push(Sample {
                        name,
                        count: *count,
                        rate: rate(*count as f64),
                        sum: *count as f64,
                        min: one,
                        max: one,
                        mean: one,
                        stddev: 0.0,
                        labels,
                    });
                }
                (
                    _,
                    Value::Times {
                        count,
                        sum,
                        min,
                        max,
                        squares,
                        ..
                    },
                ) => report.samples.push(Sample {
                    name,
                    count: *count,
                    rate: rate(*sum),
                    sum: *sum,
                    min: *min,
                    max: *max,
                    mean: match count {
                        0 => 0.0,
                        count => sum / *count as f64,
                    },
                    stddev: deviation(*count, *sum, *squares),
                    labels,
                }),
            }
        }
    }
    report
}

/// The standard deviation of a sample.
fn deviation(count: u64, sum: f64, squares: f64) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let count = count as f64;
    let variance = (squares - sum * sum / count) / (count - 1.0);
    variance.max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_all_kinds() {
        let mut times = Family::new("t", "Times.", Kind::Times);
        let value = Value::Times {
            buckets: vec![(0.001, 2), (0.01, 1)],
            count: 4,
            sum: 1.5,
            min: 0.001,
            max: 1.2,
            squares: 1.5,
        };
        times.push(vec![("mount_point", "a\"b\\/".to_owned())], value);
        let families = [
            Family::single("c", "Counts.", Kind::Counter, Value::Count(3)),
            Family::new("empty", "Nothing.", Kind::Gauge),
            times,
        ];
        let labels = r#"mount_point="a\"b\\/""#;
        assert_eq!(
            text(&families),
            format!(
                "# HELP c Counts.\n# TYPE c counter\nc 3\n# HELP t Times.\n# TYPE t histogram\n\
                 t_bucket{{{labels},le=\"0.001\"}} 2\nt_bucket{{{labels},le=\"0.01\"}} 3\n\
                 t_bucket{{{labels},le=\"+Inf\"}} 4\nt_sum{{{labels}}} 1.5\nt_count{{{labels}}} 4\n"
            )
        );
        let json = serde_json::to_value(report(&families, Time(0), Duration::from_secs(3)));
        let json = json.unwrap();
        assert_eq!(json["Counters"][0]["Count"], 3);
        assert_eq!(json["Counters"][0]["Rate"], 1.0);
        let sample = &json["Samples"][0];
        assert_eq!(
            (&sample["Mean"], &sample["Rate"]),
            (&0.375.into(), &0.5.into())
        );
        assert_eq!(
            (&sample["Min"], &sample["Max"]),
            (&0.001.into(), &1.2.into())
        );
        let deviation = sample["Stddev"].as_f64().unwrap();
        assert!((deviation - 0.5590).abs() < 0.0001, "{deviation}");
    }
}
