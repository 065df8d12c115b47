//! Every kind of page at the widths of a phone and of a desk, in light and in dark.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::fixture::{FINISHED, HOSTILE, Left, leave};
use crate::browser::{Browser, find};
use crate::command_line::xception;

/// The questions to a page: how far it sticks out sideways, which cells stick out of the tables that should fit, texts
/// whose contrast is below 4.5:1 (WCAG 2.2, 1.4.3), images that do not show, and whether it is dark.
const PROBE: &str = r#"(() => {
  const pixel = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    return pixel.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const pale = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (!text || !element.getClientRects().length || element.closest('script, style')) continue;
    const [a, b] = [rgba(getComputedStyle(element).color), ground(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) pale.push(`${text} ${ratio.toFixed(2)}`);
  }
  const root = document.documentElement;
  const tight = [...document.querySelectorAll('.scrolling:has(.confusion, .figures:not(.wide))')];
  return {
    overflow: root.scrollWidth - root.clientWidth,
    cramped: tight.filter((e) => e.getClientRects().length && e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel),
    pale,
    broken: [...document.images].filter((image) => !image.naturalWidth).length,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
  };
})()"#;

fn look(browser: &mut Browser, page: &Path, width: u32, scheme: &str) -> (Vec<String>, Value) {
    let seen = browser.see(page, width, scheme, PROBE);
    (seen.complaints, seen.value)
}

#[test]
fn pages_fit_and_are_quiet_at_every_width_and_in_light_and_dark() {
    let Some(program) = find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let unfinished = Left { evaluated: false, epochs: 2, planned: 10, broken: true, ..FINISHED };
    let new = Left { evaluated: false, epochs: 0, ..FINISHED };
    let many = Left { classes: 100, ..FINISHED };
    for (name, left) in [
        ("ten", &FINISHED),
        ("hundred", &many),
        ("unfinished", &unfinished),
        ("new", &new),
        (HOSTILE, &FINISHED),
    ] {
        leave(&folder.join(name), left);
        assert_eq!(xception(folder, &["report", name]).code, Some(0));
    }
    let compare = ["report", "ten", "hundred", "unfinished", "new", HOSTILE];
    assert_eq!(xception(folder, &compare).code, Some(0));

    let mut browser = Browser::start(&program);
    for page in [
        "ten/report.html",
        "hundred/report.html",
        "unfinished/report.html",
        "new/report.html",
        "comparison.html",
    ] {
        for width in [390, 1280] {
            for scheme in ["light", "dark"] {
                let (complaints, value) = look(&mut browser, &folder.join(page), width, scheme);
                assert_eq!(complaints, [""; 0], "{page} {width} {scheme}");
                let expected = json!({
                    "overflow": 0, "cramped": [], "pale": [], "broken": 0, "dark": scheme == "dark",
                });
                assert_eq!(value, expected, "{page} {width} {scheme}");
            }
        }
    }
}

/// The text that the page's script shows half-way along the first chart.
const POINT: &str = r#"(() => {
  const plot = document.querySelector('.chart .plot'), box = plot.getBoundingClientRect();
  plot.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width / 2, clientY: box.top + 9 }));
  return plot.querySelector('.read-out').textContent;
})()"#;

#[test]
fn values_can_be_read_off_under_a_pointer() {
    let Some(program) = find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    leave(&folder.join("run"), &FINISHED);
    assert_eq!(xception(folder, &["report", "run"]).code, Some(0));
    let mut browser = Browser::start(&program);
    let seen = browser.see(&folder.join("run/report.html"), 1280, "light", POINT);
    // Half of three epochs of ten steps is step 15, whose loss is 2 / 15; the test set was last measured before it.
    let read_out = seen.value.as_str().unwrap();
    assert!(read_out.starts_with("training 0.133") && read_out.ends_with("at 1.5"), "{read_out}");
    assert!(read_out.contains("\ntest 1 (at 1)\n"), "{read_out}");
}

/// The tests above would pass if nothing was looked at.
#[test]
fn what_is_looked_for_is_seen_where_it_is() {
    let Some(program) = find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let faults = "<!doctype html><meta charset=utf-8><body style='background:#fff'>\
        <p style='color:#999'>pale</p><div style='width:2000px'>wide</div>\
        <img src='http://127.0.0.1:9/image.png'><script>console.error('loud'); nowhere()</script>";
    fs::write(&page, faults).unwrap();
    let (complaints, value) = look(&mut Browser::start(&program), &page, 390, "light");
    for part in ["loud", "nowhere is not defined", "request of http://127.0.0.1:9/image.png"] {
        assert!(
            complaints.iter().any(|complaint| complaint.contains(part)),
            "{part}: {complaints:?}"
        );
    }
    assert_eq!(value["pale"], json!(["pale 2.85"]));
    assert_eq!(value["broken"], 1);
    assert!(value["overflow"].as_f64() > Some(1000.0), "{value}");
}
