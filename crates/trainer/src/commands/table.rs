//! Plain-text tables for people: per-class accuracy and the confusion matrix.

use crate::evaluation::Evaluation;

/// Most classes for which a confusion matrix fits on a screen.
const WIDEST: usize = 20;

/// The number of classes beyond which only the weakest are shown, and the number of these.
const MOST_CLASSES: usize = 30;
const WEAKEST: usize = 10;

/// Accuracy class by class, best first; of many classes only the weakest.
pub(crate) fn per_class(evaluation: &Evaluation, class_names: &[String]) -> String {
    let mut rows: Vec<(&String, Option<f64>)> =
        class_names.iter().zip(evaluation.per_class()).collect();
    rows.sort_by(|a, b| b.1.partial_cmp(&a.1).expect("accuracies are numbers"));
    let measured = rows.iter().filter(|(_, accuracy)| accuracy.is_some()).count();
    if rows.len() > MOST_CLASSES {
        rows.truncate(measured);
        rows.drain(..measured.saturating_sub(WEAKEST));
    }
    let width = class_names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let row = |(name, accuracy): &(&String, Option<f64>)| match accuracy {
        Some(part) => format!(
            "  {name:<width$}  {:6.2} %  {}",
            part * 100.0,
            "█".repeat((part * 40.0).round() as usize)
        ),
        None => format!("  {name:<width$}       –"),
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// Rows are the true classes, columns the predicted ones; `None` for more classes than fit a screen.
pub(crate) fn confusion(evaluation: &Evaluation, class_names: &[String]) -> Option<String> {
    if class_names.len() > WIDEST || evaluation.confusion.is_empty() {
        return None;
    }
    let width = class_names.iter().map(|name| name.chars().count()).max()?;
    let largest = evaluation.confusion.iter().flatten().max().copied().unwrap_or(0);
    let wide = largest.to_string().len().max(class_names.len().to_string().len());
    // Columns have the numbers of the rows: names would be cut to a few letters.
    let heads: String = (1..=class_names.len()).map(|class| format!(" {class:>wide$}")).collect();
    let mut lines = vec![format!("     {:width$} {heads}", "")];
    for (number, (name, row)) in (1..).zip(class_names.iter().zip(&evaluation.confusion)) {
        let cells: String =
            row.iter()
                .map(|count| {
                    if *count == 0 {
                        format!(" {:>wide$}", "·")
                    } else {
                        format!(" {count:>wide$}")
                    }
                })
                .collect();
        lines.push(format!("  {number:>2} {name:<width$} {cells}"));
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        Evaluation {
            images: 5,
            top1: 0.6,
            top5: 1.0,
            loss: 1.0,
            confusion: vec![vec![1, 1], vec![1, 2]],
            ..Evaluation::default()
        }
    }

    #[test]
    fn tables_line_up() {
        let names = ["ant".to_string(), "elephant".to_string()];
        let table = confusion(&evaluation(), &names).unwrap();
        assert_eq!(table, "               1 2\n   1 ant       1 1\n   2 elephant  1 2");
        let classes = per_class(&evaluation(), &names);
        assert!(classes.starts_with("  elephant   66.67 %  ███"), "{classes}");
        assert!(
            classes.lines().nth(1).unwrap().starts_with("  ant        50.00 %  ███"),
            "{classes}"
        );
    }

    #[test]
    fn a_hundred_classes_have_no_matrix() {
        let names: Vec<String> = (0..100).map(|class| class.to_string()).collect();
        assert_eq!(confusion(&evaluation(), &names), None);
    }
}
