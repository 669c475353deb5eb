//! The page in a browser: headless Chromium opens it for three networks, as wide as a desktop and as a phone, light and dark, and
//! a script that is added to the page clicks through every part (`browser/driver.js`). Skipped where there is no Chromium.

mod made_up;

use std::path::{Path, PathBuf};
use std::process::Command;

const WIDTHS: [usize; 2] = [1280, 390];
const SCHEMES: [&str; 2] = ["light", "dark"];

#[test]
fn every_part_works_in_a_browser() {
    let Some(browser) = browser() else {
        println!("skipped: no chromium, chromium-browser or google-chrome on PATH");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    let mut cases = Vec::new();
    for name in ["digits", "torchvision/resnet50", "timm/seresnet50"] {
        let mut report = made_up::report(name);
        if name != "torchvision/resnet50" {
            made_up::measure(&mut report);
            made_up::verify(&mut report);
        }
        let file = format!("{}.html", name.replace('/', "-"));
        std::fs::write(folder.join(&file), driven(&resnet_report::html(&report))).unwrap();
        for width in WIDTHS {
            cases.extend(SCHEMES.map(|scheme| format!("[{file:?}, {width}, {scheme:?}]")));
        }
    }
    let harness = folder.join("harness.html");
    let cases_text = format!("[{}]", cases.join(", "));
    std::fs::write(&harness, include_str!("browser/harness.html").replace("CASES", &cases_text)).unwrap();
    let said = findings(&browser, &harness);
    let lines: Vec<&str> = said.lines().collect();
    println!("{said}");
    assert_eq!(lines.len(), cases.len(), "{said}");
    assert!(lines.iter().all(|line| line.ends_with(": fine")), "{said}");
}

/// The first of the names that Chromium has on PATH.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// The page with what watches it before all of its scripts, and what drives it after.
fn driven(page: &str) -> String {
    let [watch, drive] = [include_str!("browser/watch.js"), include_str!("browser/driver.js")];
    let watched = page.replacen("<title>", &format!("<script>{watch}</script>\n<title>"), 1);
    watched.replace("</body>", &format!("<script>{drive}</script>\n</body>"))
}

/// What the harness page says when all is done, a line for each case.
fn findings(browser: &Path, harness: &Path) -> String {
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-profile");
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--no-first-run",
        ])
        .args(["--window-size=1400,1000", "--virtual-time-budget=900000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", harness.display()))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = page.split_once("<pre id=\"findings\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((found, _)) = found else {
        panic!("no findings: {page}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    found.trim().to_owned()
}
