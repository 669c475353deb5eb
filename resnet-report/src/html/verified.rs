//! How far each layer is from the reference, a table for each instruction set.

use super::text::{escape, several};
use crate::report::{Report, VerifiedIsa, VerifiedLayer};

/// Nothing where nothing was verified.
pub(super) fn verified(report: &Report) -> String {
    let Some(verified) = &report.verified else { return String::new() };
    let tables: String = verified.isas.iter().map(table).collect();
    format!(
        "<section id=\"verified\" aria-labelledby=\"verified-head\">\n<h2 id=\"verified-head\">Accuracy</h2>\n\
         <p>{} of each layer, compared with {}. A bound is the relative error that a layer may have.</p>\n\
         <p class=\"legend\"><span><i class=\"swatch beyond\"></i>beyond its bound</span></p>\n{tables}</section>\n",
        match verified.inputs {
            1 => "One input".to_owned(),
            inputs => format!("The values of {inputs} inputs"),
        },
        escape(&verified.reference),
    )
}

fn table(isa: &VerifiedIsa) -> String {
    let beyond = isa.layers.iter().filter(|layer| !layer.within).count();
    let said = match (&isa.first_beyond, beyond) {
        (Some(first), _) => {
            format!("<em>{} beyond, first {}</em>", several(beyond.max(1), "layer"), escape(first))
        }
        (None, 0) => format!("all {} within their bounds", several(isa.layers.len(), "layer")),
        (None, beyond) => format!("<em>{} beyond</em>", several(beyond, "layer")),
    };
    let rows: String = isa.layers.iter().map(|layer| row(isa, layer)).collect();
    let name = escape(&isa.isa);
    format!(
        "<details{open}><summary><b>{name}</b><span>{said}</span></summary>\n\
         <div class=\"wide tall\" tabindex=\"0\" role=\"region\" aria-label=\"Accuracy with {name}\"><table><thead><tr>\
         <th scope=\"col\" class=\"word\">layer</th><th scope=\"col\">max ULP</th><th scope=\"col\">max error</th>\
         <th scope=\"col\">relative</th><th scope=\"col\">bound</th><th scope=\"col\">cosine</th><th scope=\"col\"></th>\
         </tr></thead>\n<tbody>\n{rows}</tbody></table></div></details>\n",
        open = if beyond > 0 { " open" } else { "" },
    )
}

fn row(isa: &VerifiedIsa, layer: &VerifiedLayer) -> String {
    let first = isa.first_beyond.as_ref() == Some(&layer.name);
    let (class, said) = match (layer.within, first) {
        (true, _) => ("", "within"),
        (false, true) => (" class=\"beyond\"", "the first beyond"),
        (false, false) => (" class=\"beyond\"", "beyond"),
    };
    format!(
        "<tr{class}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.7}</td>\
         <td class=\"word\">{said}</td></tr>\n",
        escape(&layer.name),
        error(layer.max_ulp),
        error(layer.max_error),
        error(layer.relative_error),
        error(layer.bound),
        layer.cosine,
    )
}

/// `2.5e-6`, and whole numbers that are small. The largest number stands for an infinite one, which JSON does not have.
fn error(number: f64) -> String {
    match number {
        _ if number >= f64::MAX || number.is_nan() => "∞".to_owned(),
        1.0..1e5 => format!("{number:.1}"),
        number => format!("{number:.1e}"),
    }
}
