//! The passes: a list of what each did. The script shows the changes of one.

use super::text::{escape, several};
use crate::report::{Pass, Report};

pub(super) fn passes(report: &Report) -> String {
    let last = report.passes.len().saturating_sub(1);
    let item = |(index, pass): (usize, &Pass)| {
        let idle = if pass.changes.is_empty() { " class=\"idle\"" } else { "" };
        format!(
            "<li{idle}><button type=\"button\" data-pass=\"{index}\" title=\"{}\"><b>{}</b><span>{}</span></button></li>\n",
            escape(&format!("{}; {} after it", pass.summary, several(pass.values, "value"))),
            escape(&pass.name),
            escape(&pass.outcome),
        )
    };
    let items: String = report.passes.iter().enumerate().map(item).collect();
    format!(
        "<div class=\"slider needs-script\"><label for=\"pass\">After pass</label>\
         <input type=\"range\" id=\"pass\" min=\"0\" max=\"{last}\" value=\"0\"></div>\n\
         <ol class=\"list\" start=\"0\">\n{items}</ol>\n"
    )
}
