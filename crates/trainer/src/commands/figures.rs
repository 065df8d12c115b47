//! The figures of an evaluation in sentences: what was reached, what guessing gives, and the class that is recognised least.

use crate::console::escape;
use crate::evaluation::{ClassScores, Evaluation, Guess, Overall, Several, TOP5_CLASSES, digits};

/// `cifar10 test accuracy: 81.96 % (81.19 to 82.70 % with 95 % confidence), 10000 images`, and three lines after it. A `note`
/// stands before the colon. Of images with several labels, mean average precision takes the place of accuracy.
pub(crate) fn lines(
    measured: &str,
    note: &str,
    evaluation: &Evaluation,
    class_names: &[String],
) -> String {
    if let Some(several) = &evaluation.several {
        return of_several(measured, note, evaluation, several, class_names);
    }
    let overall = evaluation.overall();
    let percent = Percent::of(evaluation.images);
    let subject = format!("{measured} accuracy{note}");
    let mut lines = vec![headline(&subject, evaluation, &overall, percent)];
    lines.extend(guess(overall.guess, class_names));
    lines.extend(weakest(evaluation, class_names));
    lines.push(rest(evaluation, &overall, percent));
    lines.join("\n")
}

fn of_several(
    measured: &str,
    note: &str,
    evaluation: &Evaluation,
    several: &Several,
    class_names: &[String],
) -> String {
    let images = evaluation.images;
    let Some(figures) = &several.by_class else {
        return format!(
            "{measured} MAP@100{note}: {:.4}, {images} images (too many answers to keep for figures of classes)\nloss {:.4}",
            several.map_at_100, evaluation.loss
        );
    };
    let text =
        |figure: Option<f64>| figure.map_or("–".to_string(), |figure| format!("{figure:.4}"));
    let mut lines = vec![format!(
        "{measured} mean average precision{note}: {}, {images} images with {:.1} labels on average",
        text(figures.mean_average_precision),
        figures.labels
    )];
    let measured_classes = figures.classes.iter().zip(class_names);
    let ranked = measured_classes
        .filter_map(|(class, name)| Some((class.ranking.average_precision?, class, name)));
    if let Some((precision, class, name)) = ranked.min_by(|a, b| a.0.total_cmp(&b.0)) {
        let (name, support) = (escape::name(name), class.support);
        lines.push(format!(
            "weakest class: {name}, average precision {precision:.4}, {support} of the images have it"
        ));
    }
    lines.push(format!(
        "micro F1 {}, macro F1 {}, no wrong answer {:.1} %, likeliest class correct {:.1} %, MAP@100 {:.4}, loss {:.4}",
        text(figures.micro_f1),
        text(figures.macro_f1),
        figures.exact * 100.0,
        evaluation.top1 * 100.0,
        several.map_at_100,
        evaluation.loss
    ));
    lines.join("\n")
}

/// Percentages with as many digits as a number of images supports.
#[derive(Debug, Clone, Copy)]
struct Percent {
    digits: usize,
}

impl Percent {
    fn of(images: u64) -> Self {
        Self { digits: digits(images) }
    }

    fn number(self, part: f64) -> String {
        format!("{:.*}", self.digits, part * 100.0)
    }

    fn text(self, part: f64) -> String {
        format!("{} %", self.number(part))
    }
}

fn headline(subject: &str, evaluation: &Evaluation, overall: &Overall, percent: Percent) -> String {
    let interval = overall.interval.map(|[low, high]| {
        format!(" ({} to {} with 95 % confidence)", percent.number(low), percent.text(high))
    });
    format!(
        "{subject}: {}{}, {} {}",
        percent.text(evaluation.top1),
        interval.unwrap_or_default(),
        evaluation.images,
        if evaluation.images == 1 { "image" } else { "images" },
    )
}

/// The accuracy of an answer that looks at nothing.
fn guess(guess: Option<Guess>, class_names: &[String]) -> Option<String> {
    let Guess { class, accuracy } = guess?;
    let name = escape::name(&class_names[class]);
    Some(format!("guessing {name} every time: {:.1} %", accuracy * 100.0))
}

/// The class with images that is recognised least.
fn weakest(evaluation: &Evaluation, class_names: &[String]) -> Option<String> {
    let scores = ClassScores::of(&evaluation.confusion);
    let recalls = scores.iter().enumerate();
    let recalls = recalls.filter_map(|(class, scores)| Some((class, scores.recall?, scores)));
    let (class, recall, scores) = recalls.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let name = escape::name(&class_names[class]);
    Some(match scores.support {
        1 => format!(
            "weakest class: {name}, whose only image is {}",
            if recall > 0.0 { "found" } else { "missed" }
        ),
        images => format!(
            "weakest class: {name}, {} of {images} images found ({})",
            evaluation.confusion[class][class],
            Percent::of(images).text(recall)
        ),
    })
}

fn rest(evaluation: &Evaluation, overall: &Overall, percent: Percent) -> String {
    let mut figures = Vec::new();
    let mut figure = |name: &str, value: Option<String>| {
        figures.extend(value.map(|value| format!("{name} {value}")));
    };
    figure("balanced accuracy", overall.balanced_accuracy.map(|part| percent.text(part)));
    figure("macro F1", overall.macro_f1.map(|f1| format!("{f1:.3}")));
    figure("kappa", overall.cohen_kappa.map(|kappa| format!("{kappa:.3}")));
    figure("MCC", overall.matthews.map(|correlation| format!("{correlation:.3}")));
    let many = evaluation.confusion.len() >= TOP5_CLASSES;
    figure("top-5", many.then(|| percent.text(evaluation.top5)));
    figure("loss", Some(format!("{:.4}", evaluation.loss)));
    figures.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(confusion: Vec<Vec<u64>>) -> Evaluation {
        let images = confusion.iter().flatten().sum();
        let hits: u64 = (0..confusion.len()).map(|class| confusion[class][class]).sum();
        let top1 = hits as f64 / images as f64;
        Evaluation { images, top1, top5: 1.0, loss: 0.5, confusion, ..Evaluation::default() }
    }

    #[test]
    fn a_class_that_is_never_found_stands_in_the_second_line() {
        let names = ["common".to_string(), "rare".to_string()];
        let text = lines("pets test", "", &measured(vec![vec![92, 0], vec![8, 0]]), &names);
        assert_eq!(
            text,
            "pets test accuracy: 92 % (85 to 96 % with 95 % confidence), 100 images\n\
             guessing common every time: 92.0 %\n\
             weakest class: rare, 0 of 8 images found (0 %)\n\
             balanced accuracy 50 %, macro F1 0.479, kappa 0.000, loss 0.5000"
        );
    }

    #[test]
    fn six_classes_have_a_top_5_and_many_images_more_digits() {
        let mut confusion = vec![vec![0; 6]; 6];
        (0..6).for_each(|class| confusion[class][class] = 400);
        confusion[2][3] = 100;
        let names: Vec<String> = (0..6).map(|class| format!("class {class}")).collect();
        let text = lines("x", "", &measured(confusion), &names);
        assert!(text.starts_with("x accuracy: 96.00 % ("), "{text}");
        assert!(text.contains("top-5 100.00 %"), "{text}");
        assert!(text.contains("class 2, 400 of 500 images found (80.0 %)"), "{text}");
    }
}
