//! Charts of curves. The drawing stretches to the width that it is given; its labels are text of the page, so that they
//! keep their size on a phone and can be selected.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::Axis;

/// Length of the drawing's sides in its own units.
const SIDE: f64 = 1000.0;
/// Most points that are marked by dots; more would run together.
const MOST_DOTS: usize = 40;
/// The number of colours and dashes in the style sheet.
const STYLES: usize = 8;

/// One curve.
pub(super) struct Line {
    /// The label.
    pub(super) label: String,
    /// `(x, y)`, by rising x; a y that is not finite is a gap.
    pub(super) points: Vec<(f64, f64)>,
    /// Its number among the lines of the chart, which gives it its colour and dash.
    pub(super) style: usize,
}

/// Curves over one axis.
pub(super) struct Chart {
    /// The title.
    pub(super) title: String,
    /// The label of the horizontal axis.
    pub(super) x_label: &'static str,
    /// The unit after every number on the left, such as ` %`.
    pub(super) unit: &'static str,
    /// The horizontal axis.
    pub(super) x: Axis,
    /// The curves.
    pub(super) lines: Vec<Line>,
}

impl Chart {
    /// The chart as a figure; without a single finite point, a sentence that says so.
    pub(super) fn markup(&self) -> Markup {
        let drawn: Vec<&Line> =
            self.lines.iter().filter(|line| line.finite().next().is_some()).collect();
        if drawn.is_empty() {
            return html! {
                figure.chart { figcaption { h3 { (self.title) } } p.empty { "Nothing was measured yet." } }
            };
        }
        let y = Axis::around(drawn.iter().flat_map(|line| line.finite()).map(|(_, y)| y), 5);
        let drawing = html! {
            @for line in &drawn {
                path.line.(style(line.style)) d=(self.path(line, &y)) data-label=(line.label) {}
                @if line.finite().count() <= MOST_DOTS {
                    path.dots.(style(line.style)) d=(self.dots(line, &y)) {}
                }
            }
        };
        html! {
            figure.chart {
                figcaption {
                    h3 { (self.title) }
                    @if self.lines.len() > 1 { (legend(&drawn)) }
                }
                (frame(&self.description(&drawn), &self.x, &y, self.unit, &drawing))
                p.axis-title { (self.x_label) }
            }
        }
    }

    /// A description of the curves for screen readers.
    fn description(&self, drawn: &[&Line]) -> String {
        let mut text = format!("{} by {}.", self.title, self.x_label);
        for line in drawn {
            let ends = line.finite().next().zip(line.finite().last());
            let ((from, first), (to, last)) = ends.expect("only lines with points are drawn");
            let (first, last) = (first + 0.0, last + 0.0);
            write!(
                text,
                " {}: from {first:.4}{unit} at {from:.1} to {last:.4}{unit} at {to:.1}.",
                line.label,
                unit = self.unit
            )
            .expect("a string takes what is written");
        }
        text
    }

    /// Strokes through the finite points; one alone becomes a dot.
    fn path(&self, line: &Line, y: &Axis) -> String {
        let mut path = String::new();
        for run in line.points.split(|(_, value)| !value.is_finite()) {
            for (number, &(at, value)) in run.iter().enumerate() {
                let (px, py) = self.place(at, value, y);
                let letter = if number == 0 { 'M' } else { 'L' };
                write!(path, "{letter}{px} {py}").expect("a string takes what is written");
            }
            if run.len() == 1 {
                path.push_str("h0");
            }
        }
        path
    }

    fn dots(&self, line: &Line, y: &Axis) -> String {
        let dot = |(at, value)| {
            let (px, py) = self.place(at, value, y);
            format!("M{px} {py}h0")
        };
        line.finite().map(dot).collect()
    }

    fn place(&self, x: f64, y: f64, axis: &Axis) -> (f64, f64) {
        let round = |part: f64| (part * SIDE * 100.0).round() / 100.0;
        (round(self.x.part(x)), round(1.0 - axis.part(y)))
    }
}

impl Line {
    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|(_, y)| y.is_finite())
    }
}

/// The style sheet's name of line number `number`.
pub(super) fn style(number: usize) -> String {
    format!("s{}", number % STYLES)
}

/// The legend.
fn legend(lines: &[&Line]) -> Markup {
    html! {
        ul.legend {
            @for line in lines { li { (sample(line.style)) (line.label) } }
        }
    }
}

/// A piece of line number `number`.
pub(super) fn sample(number: usize) -> Markup {
    html! {
        svg.sample viewBox="0 0 24 8" aria-hidden="true" { path.line.(style(number)) d="M1 4h22" {} }
    }
}

/// `drawing`, in units from 0 to 1000 each way, on a grid with its ticks.
pub(super) fn frame(description: &str, x: &Axis, y: &Axis, unit: &str, drawing: &Markup) -> Markup {
    let across = |tick: f64| format!("{:.2}", x.part(tick) * 100.0);
    let up = |tick: f64| format!("{:.2}", y.part(tick) * 100.0);
    html! {
        div.plot role="img" aria-label=(description)
            data-x=(format!("{} {}", x.low, x.high)) data-y=(format!("{} {}", y.low, y.high)) data-unit=(unit) {
            svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true" {
                g.grid {
                    @for tick in &y.ticks {
                        path d=(format!("M0 {:.1}H1000", (1.0 - y.part(*tick)) * SIDE)) {}
                    }
                }
                (drawing)
            }
            @for tick in &y.ticks {
                span.tick.up style=(format!("bottom:{}%", up(*tick))) { (y.label(*tick)) (unit) }
            }
            @for tick in &x.ticks {
                span.tick.across style=(format!("left:{}%", across(*tick))) { (x.label(*tick)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let line = Line { label: "<test>".to_string(), points, style: 9 };
        let x = Axis::exactly(0.0, 4.0, 4, 1.0);
        Chart { title: "Loss".to_string(), x_label: "epoch", unit: "", x, lines: vec![line] }
            .markup()
            .into_string()
    }

    #[test]
    fn a_value_that_is_not_finite_is_a_gap() {
        let text = chart(vec![(0.0, 2.0), (1.0, 1.0), (2.0, f64::NAN), (4.0, 0.0)]);
        assert!(text.contains("d=\"M0 0L250 500M1000 1000h0\""), "{text}");
        assert!(
            text.contains(
                "aria-label=\"Loss by epoch. &lt;test&gt;: from 2.0000 at 0.0 to 0.0000 at 4.0.\""
            ),
            "{text}"
        );
        assert!(text.contains("class=\"line s1\""), "styles begin again: {text}");
        assert!(
            text.contains(">0.5</span>") && text.contains("style=\"left:25.00%\">1</span>"),
            "{text}"
        );
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        for points in [vec![], vec![(1.0, f64::NAN)]] {
            let text = chart(points);
            assert!(text.contains("Nothing was measured yet.") && !text.contains("<svg"), "{text}");
        }
    }
}
