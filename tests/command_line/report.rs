//! Pages of runs: what stands in them, what they refuse, and how a browser takes them.

mod fixture;
mod in_a_browser;

use std::fs;

use self::fixture::{FINISHED, HOSTILE, Left, leave};
use super::{Ended, xception};

/// The page that a command said it wrote.
#[track_caller]
fn page(folder: &std::path::Path, ended: &Ended, expected: &str) -> String {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, format!("{expected}\n"));
    fs::read_to_string(folder.join(expected)).unwrap()
}

#[track_caller]
fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no {part} in {page}");
    }
}

#[test]
fn a_finished_run_is_one_page_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    leave(&folder.join("run"), &FINISHED);
    let page = page(folder, &xception(folder, &["report", "run"]), "run/report.html");
    has(
        &page,
        &[
            "<h1>75.0 % test accuracy</h1>",
            "Preset cifar on CIFAR-10, 1,000 test images. 3 of 3 epochs in 9:49 min.",
        ],
    );
    for section in
        ["curves", "confusion", "classes", "calibration", "mistakes", "filters", "recipe", "made"]
    {
        has(&page, &[&format!("<section id=\"{section}\""), &format!("href=\"#{section}\"")]);
    }
    // Class 0 by hand: 75 of 100 right, none taken for it but 25 of class 9.
    has(
        &page,
        &[
            "<td class=\"hit\" style=\"--part:87%\">75</td>",
            "<td class=\"miss\" style=\"--part:50%\">25</td>",
        ],
    );
    has(&page, &["<td>75.00 %</td>", "10.00 %</strong>"]);
    // Values under their own names: recipe, command, machine.
    has(
        &page,
        &[
            "peak = 0.004",
            "xception train --set 'epochs=3 '",
            "A &lt;fast&gt; CPU",
            "2026-11-24 10:33 UTC",
        ],
    );
    assert_eq!(
        page.matches("<img alt=\"Test image").count(),
        0,
        "attributes stand as they are written"
    );
    assert_eq!(page.matches("alt=\"Test image").count(), 3);
    assert!(!page.contains("No final evaluation") && !page.contains("not finite"));
    let left: Vec<_> = fs::read_dir(folder.join("run")).unwrap().collect();
    assert_eq!(left.len(), 6, "nothing but the page was added: {left:?}");
}

#[test]
fn nothing_from_a_file_becomes_markup() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, left) in [("a", &FINISHED), (HOSTILE, &Left { classes: 100, ..FINISHED })] {
        leave(&folder.join(name), left);
    }
    let single = page(folder, &xception(folder, &["report", "a"]), "a/report.html");
    let both = page(folder, &xception(folder, &["report", "a", HOSTILE]), "comparison.html");
    for text in [single, both] {
        assert!(text.contains("&lt;img src=x onerror="), "{text}");
        assert!(!text.contains(HOSTILE), "{text}");
        assert_eq!(text.matches("<script").count(), 1, "only the page's own");
        // The words in a list of class names or a command may say http; no attribute may lead there.
        for leads in
            ["src=\"http", "href=\"http", "url(", "@import", "<iframe", "<link rel=\"stylesheet"]
        {
            assert!(!text.contains(leads), "{leads}");
        }
    }
}

#[test]
fn a_hundred_classes_are_shades_and_the_worst_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    leave(&folder.join("run"), &Left { classes: 100, ..FINISHED });
    let page = page(folder, &xception(folder, &["report", "run"]), "run/report.html");
    assert!(!page.contains("<table class=\"confusion\">"));
    has(
        &page,
        &["Confusion matrix of 100 classes by their labels", "Mixed up most", "All 100 classes"],
    );
    let pairs = page.split("Mixed up most").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(pairs.matches("<tr>").count(), 1 + 20);
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

#[test]
fn an_interrupted_run_shows_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    leave(
        &folder.join("run"),
        &Left { evaluated: false, epochs: 2, planned: 10, broken: true, ..FINISHED },
    );
    let page = page(folder, &xception(folder, &["report", "run"]), "run/report.html");
    has(
        &page,
        &["No final evaluation.", "2 of 10 epochs", "<h1>60.00 % test accuracy so far</h1>"],
    );
    has(&page, &["and are gaps in the curves: 1.", "and are left out: 1."]);
    for section in ["confusion", "classes", "calibration", "mistakes"] {
        assert!(!page.contains(&format!("id=\"{section}\"")), "{section}");
    }

    // Killed before the first line.
    leave(&folder.join("new"), &Left { evaluated: false, epochs: 0, ..FINISHED });
    let page = self::page(folder, &xception(folder, &["report", "new"]), "new/report.html");
    has(
        &page,
        &["<h1>Nothing measured yet</h1>", "Nothing was measured yet.", "0 of 3 epochs in –"],
    );
}

#[test]
fn runs_stand_side_by_side_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    leave(&folder.join("a/run"), &FINISHED);
    leave(&folder.join("b/run"), &Left { planned: 5, epochs: 5, threads: 8, ..FINISHED });
    let compared = xception(folder, &["report", "a/run", "b/run", "--out", "two.html"]);
    let page = page(folder, &compared, "two.html");
    has(&page, &["<h1>Comparison of 2 runs</h1>", "a/run", "b/run"]);
    let recipes = page.split("id=\"recipes\"").nth(1).unwrap().split("</section>").next().unwrap();
    has(recipes, &["<th scope=\"row\">epochs</th><td>3</td><td>5</td>"]);
    assert!(!recipes.contains("batch_size"), "what is the same is left out: {recipes}");
    let machines =
        page.split("id=\"machines\"").nth(1).unwrap().split("</section>").next().unwrap();
    has(machines, &["<th scope=\"row\">Threads</th><td>2</td><td>8</td>"]);
    assert!(!machines.contains("libtorch"), "{machines}");
    // Loss and accuracy of both sets, rate and speed; two lines each.
    assert_eq!(page.matches("<figure class=\"chart\">").count(), 6);
    assert_eq!(
        page.matches("class=\"line s1\"").count(),
        6 * 2 + 1,
        "lines, their legends, and the table"
    );
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("empty")).unwrap();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let ended = xception(folder, arguments);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    };
    check(
        &["report", "empty"],
        2,
        "empty is not the folder of a run: no config.toml, no env.json, no metrics.jsonl in it; give a folder that \
         `xception train` made",
    );
    leave(&folder.join("run"), &FINISHED);
    check(&["report", "run", "nowhere"], 2, "nowhere is not the folder of a run: no config.toml");
    assert!(!folder.join("comparison.html").exists());
    check(&["report", "run", "--out", "nowhere/page.html"], 1, "cannot write nowhere/page.html");
    check(&["report"], 2, "<RUN>");

    let details = folder.join("run/evaluation.json");
    let text = fs::read_to_string(&details).unwrap();
    fs::write(&details, text.replacen("\"class 1\",", "", 1)).unwrap();
    let unusable = "run/evaluation.json cannot be used: its lists are not of one length per class; restore the file, or \
                    report another run";
    check(&["report", "run"], 2, unusable);
    fs::write(&details, "{").unwrap();
    check(&["report", "run"], 2, "run/evaluation.json cannot be used: EOF while parsing");
    fs::write(folder.join("run/config.toml"), "epochs = ").unwrap();
    check(&["report", "run"], 2, "run/config.toml cannot be used: ");
}
