//! Advice on the next run, by rule: each rule looks at figures that the page shows, and names them.

use maud::{Markup, html};

use super::number_format::{in_threes, percent};
use super::run_files::Run;
use crate::evaluation::{Details, Neglected, Overall, neglected};

/// The training accuracy is so much higher than the measured one where a network has learned its images by heart.
const OVER_FIT: f64 = 0.15;
/// Accuracy on the training images below which a network has not learned them.
const UNDER_FIT: f64 = 0.8;
/// A calibration error above which probabilities should not be read as such.
const MISCALIBRATED: f64 = 0.08;
/// The factor by which images were made smaller from which detail is lost.
const SHRUNK: f64 = 3.0;
/// A width of the 95 % interval above which two networks can hardly be compared.
const WIDE: f64 = 0.08;
/// The number of neglected classes that are named.
const NAMED: usize = 5;

/// The advice as a list; `None` where no rule applies, or training has not ended.
pub(super) fn markup(run: &Run) -> Option<Markup> {
    let details = run.details.as_ref()?;
    let found = [
        by_guessing(details),
        imbalance(details),
        fit(run),
        small_side(run, details),
        calibration(details),
        few_images(details),
    ];
    let found: Vec<Markup> = found.into_iter().flatten().collect();
    (!found.is_empty()).then(|| html! { ul.advice { @for advice in &found { li { (advice) } } } })
}

/// A network that knows no more than the commonest class.
fn by_guessing(details: &Details) -> Option<Markup> {
    let guess = Overall::of(&details.confusion).guess?;
    (details.top1 <= guess.accuracy).then(|| {
        html! {
            strong { "It is no better than a guess. " }
            "Always answering " (details.class_names[guess.class]) " gives " (percent(Some(guess.accuracy)))
            ". Train longer, try another learning rate (" code { "--lr" } "), and look at the images with "
            code { "xception check" } "."
        }
    })
}

/// Classes that are rarely found because they have few training images.
fn imbalance(details: &Details) -> Option<Markup> {
    let found = neglected(&details.confusion, &details.training_images);
    let commonest = found.first()?.of_commonest;
    let text = |Neglected { class, recall, training_images, .. }: &Neglected| {
        format!(
            "{} ({} training images, {} found)",
            details.class_names[*class],
            in_threes(&training_images.to_string()),
            percent(Some(*recall))
        )
    };
    let named: Vec<String> = found.iter().take(NAMED).map(text).collect();
    Some(html! {
        strong { "Rare classes are missed. " }
        (named.join(", "))
        @if found.len() > NAMED { " and " (found.len() - NAMED) " more" }
        ", where the commonest class has " (in_threes(&commonest.to_string())) " training images. "
        "Show every class equally often (" code { "--set imbalance.sampling=equal" } "), weigh the loss ("
        code { "--set imbalance.loss_weights=inverse-frequency" } "), or add images of these classes."
    })
}

/// A network that has learned its images by heart, or not at all.
fn fit(run: &Run) -> Option<Markup> {
    let trained = run.curves.last("train/acc1")?.value;
    let (measured, best) = (run.curves.last("val/acc1")?, run.curves.largest("val/acc1")?);
    if trained > measured.value + OVER_FIT {
        return Some(html! {
            strong { "It knows its training images much better than new ones. " }
            (percent(Some(trained))) " of them at the end, " (percent(Some(measured.value))) " of the "
            (run.measured()) " set. More images help most; then stronger augmentation ("
            code { "augmentation.policy" } ", " code { "augmentation.mix" } "), more weight decay, or fewer epochs."
        });
    }
    let still_rises = best.epoch == measured.epoch && measured.epoch > 1;
    (trained < UNDER_FIT && still_rises).then(|| {
        html! {
            strong { "It was still getting better. " }
            "The last epoch was the best, and " (percent(Some(trained)))
            " of the training images are learned. Train longer: "
            code { "xception train --resume RUN --extend epochs=" (measured.epoch * 2) } "."
        }
    })
}

/// Image files that became much smaller.
fn small_side(run: &Run, details: &Details) -> Option<Markup> {
    let (side, typical) = (run.side()?, details.typical_side?);
    (typical as f64 >= SHRUNK * side as f64).then(|| {
        html! {
            strong { "Images became small. " }
            "Their shorter sides have about " (typical) " pixels, and the network sees " (side) "×" (side)
            "; small things vanish. Try " code { "--input " (side * 2) }
            ", or fine-tune published weights at their own size."
        }
    })
}

/// Probabilities that promise too much, or too little.
fn calibration(details: &Details) -> Option<Markup> {
    (details.ece > MISCALIBRATED).then(|| {
        html! {
            strong { "Its probabilities are off. " }
            "They miss the accuracy by " (percent(Some(details.ece)))
            " on average; do not take them for how sure an answer is."
        }
    })
}

/// A test set that can tell little.
fn few_images(details: &Details) -> Option<Markup> {
    let [low, high] = Overall::of(&details.confusion).interval?;
    (high - low > WIDE).then(|| {
        html! {
            strong { "The test set is small. " }
            "With " (in_threes(&details.images.to_string())) " images the accuracy lies between "
            (percent(Some(low))) " and " (percent(Some(high)))
            ". Networks that differ by less cannot be told apart by it."
        }
    })
}
