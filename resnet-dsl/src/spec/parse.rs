//! A tree becomes an [`ast`](crate::spec::ast): every key is known, of its type and within bounds, or reported.

use resnet_plan as plan;

use crate::Spec as Source;
use crate::calibration::Calibration;
use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::shipped;
use crate::spec::ast::Spec;
use crate::spec::budget::Budget;
use crate::spec::define::Definitions;
use crate::spec::fields::{self, Fields, choice, size, sizes, text};
use crate::spec::layers::{Context, layers, reference};
use crate::spec::like;
use crate::spec::metadata::Precision;
use crate::spec::names::{self, Names};
use crate::spec::preprocessing::{labels, preprocessing};
use crate::spec::scope::Scope;
use crate::spec::settings::{Settings, settings};
use crate::spec::stages::Stages;
use crate::spec::tree::{Kind, Node};
use crate::spec::{Overrides, ReadFile};

/// The spec of a tree, as far as it can be understood; what cannot is in `errors`.
pub(super) fn spec(
    tree: &Node,
    source: &Source<'_>,
    read: ReadFile<'_>,
    errors: &mut Diagnostics,
) -> Option<Spec> {
    let overrides = source.overrides;
    let (like, inherited) = like::whole(tree, errors).unzip();
    if like.is_some() && !errors.is_empty() {
        return None; // what is missing may be there
    }
    let tree = like.as_ref().unwrap_or(tree);
    let mut fields = Fields::of(tree, "a spec", errors);
    fields.take("like");
    let name = fields.required("name", errors).and_then(|node| text(node, errors));
    let input_node = fields.required("input", errors);
    let input = input_node.and_then(|node| input(node, errors));
    let batch = fields.read("batch", errors, size);
    let classes = fields.read("classes", errors, size);
    let names = fields.read("names", errors, names::parse).unwrap_or_else(Names::usual);
    let before = errors.serious();
    let definitions = fields.read("define", errors, Definitions::read).unwrap_or_default();
    let word = Node::new(Kind::Text("bottleneck".to_owned()), fields.span());
    let bottleneck = definitions.kind(&word, errors)?;
    let settings = settings(&mut fields, &Settings::new(bottleneck), &definitions, errors);
    let clear = errors.serious() == before;
    definitions.check(&settings.defaults, errors);
    let budget = Budget::default();
    let mut scope = Scope::default();
    if let Some(classes) = overrides.classes.or(classes) {
        scope.set("classes", Node::new(Kind::Int(classes as i64), fields.span()));
    }
    let context = Context { defaults: &settings.defaults, scope: &scope, budget: &budget, depth: 0 };
    let mut list = |key, errors: &mut Diagnostics| {
        fields.read(key, errors, |node, errors| layers(node, context, errors)).unwrap_or_default()
    };
    let (stem, head) = (list("stem", errors), list("head", errors));
    let mut stages = Stages::new(&definitions, &budget, &scope, names.first_stage);
    let read_stages = |node, errors: &mut Diagnostics| stages.read(node, &settings, clear, errors);
    let blocks = fields.read("stages", errors, read_stages).unwrap_or_default();
    let warnings = stages.warnings();
    let outputs = fields.read("outputs", errors, |node, errors| fields::list(node, errors, reference));
    let precision = precision(&mut fields, source, read, errors);
    let preprocessing_node = fields.take("preprocessing");
    let labels_node = fields.take("labels");
    fields.finish(errors);

    check_overrides(overrides, errors)?;
    let input = overrides.input.or(input);
    let preprocessing = preprocessing(preprocessing_node, input.unwrap_or([1, 1, 3]), errors);
    let mut labels = labels_node.and_then(|node| labels(node, read, errors)).unwrap_or_default();
    let classes = overrides.classes.or(classes);
    if let (Some(node), Some(classes)) = (labels_node, classes)
        && !labels.is_empty()
        && labels.len() != classes
    {
        let shipped = overrides.classes.is_some() && source.is_shipped()
            || inherited.is_some_and(|keys| keys.iter().any(|key| key == "labels"));
        if shipped {
            // Those of the weights that ship: other weights have other classes.
            labels.clear();
        } else {
            let message = format!("there are {} labels for {classes} classes", labels.len());
            let error = Diagnostic::new(message, node.span);
            errors.push(error.help("give a label for each class, or none"));
        }
    }
    Some(Spec {
        name: name.unwrap_or_default(),
        input: input?,
        input_span: input_node.map_or(tree.span, |node| node.span),
        batch: overrides.batch.or(batch).unwrap_or(1),
        precision,
        classes,
        names,
        stem,
        stages: blocks,
        head,
        outputs: outputs.unwrap_or_default(),
        warnings,
        preprocessing,
        labels,
        labels_span: labels_node.map_or_else(Span::default, |node| node.span),
    })
}

/// Sizes that the caller asks for are bounded like those of a spec. Nothing may be allocated by them before.
fn check_overrides(overrides: &Overrides, errors: &mut Diagnostics) -> Option<()> {
    let [height, width, channels] = overrides.input.map_or([None; 3], |sizes| sizes.map(Some));
    let sizes = [
        ("the height of the input", height),
        ("the width of the input", width),
        ("the channels of the input", channels),
        ("classes", overrides.classes),
        ("the batch", overrides.batch),
    ];
    let wrong = |size: &usize| !(1..=fields::LARGEST).contains(size);
    let mut fine = Some(());
    for (what, size) in sizes {
        if let Some(size) = size.filter(wrong) {
            let message = format!("{what} must be from 1 to {}, not {size}", fields::LARGEST);
            errors.push(Diagnostic::new(message, Span::default()));
            fine = None;
        }
    }
    fine
}

/// The precision that the caller asks for, or the spec. int8 takes the caller's calibration table, else the one that the spec's
/// `calibration` names, else the one that ships with the spec.
fn precision(
    fields: &mut Fields<'_>,
    source: &Source<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
    errors: &mut Diagnostics,
) -> Precision {
    let names =
        [("f32", plan::Precision::F32), ("bf16", plan::Precision::Bf16), ("int8", plan::Precision::Int8)];
    let node = fields.take("precision");
    let wanted = node.and_then(|node| choice(node, &names, errors));
    let table = fields.take("calibration");
    let overrides = source.overrides;
    match overrides.precision.or(wanted).unwrap_or(plan::Precision::F32) {
        plan::Precision::Int8 => {}
        other => {
            if let (None, Some(table)) = (overrides.precision, table) {
                let message = "a calibration table is for `precision: int8`";
                errors.push(Diagnostic::new(message, table.span).minor());
            }
            return if other == plan::Precision::Bf16 { Precision::Bf16 } else { Precision::F32 };
        }
    }
    let span = table.or(node).map_or(fields.span(), |node| node.span);
    let found = match (&overrides.calibration, table, shipped::calibration(source.name)) {
        (Some(table), ..) => match table.faults() {
            faults if faults.is_empty() => Ok(table.clone()),
            faults => Err(faults.join("\n")),
        },
        (None, Some(table), _) => {
            let Some(file) = text(table, errors) else { return Precision::F32 };
            let text = read(&file)
                .map_err(|reason| format!("cannot read the calibration table in `{file}`: {reason}"));
            text.and_then(|text| {
                Calibration::parse(&text).map_err(|errors| errors.messages(&file, &text).join("\n"))
            })
        }
        (None, None, Some(text)) => Calibration::parse(text)
            .map_err(|errors| errors.messages("the table that ships", text).join("\n")),
        (None, None, None) => {
            let error = Diagnostic::new("`precision: int8` needs a calibration table", span);
            errors.push(error.help(
                "make one with `resnet calibrate`, and name it: in the spec, `calibration: file.yaml`; in the macro, \
                 `precision: int8 { calibration: \"file.yaml\" }`; on the command line, `--calibration file.yaml`",
            ));
            return Precision::F32;
        }
    };
    found.map_or_else(
        |message| {
            errors.push(Diagnostic::new(message, span));
            Precision::F32
        },
        Precision::Int8,
    )
}

fn input(node: &Node, errors: &mut Diagnostics) -> Option<[usize; 3]> {
    if !matches!(node.kind, Kind::Map(_)) {
        return sizes::<3>(node, "height x width x channels, as in 224x224x3", errors);
    }
    let mut fields = Fields::of(node, "an input", errors);
    let mut side = |key| fields.required(key, errors).and_then(|node| size(node, errors));
    let sides = [side("height"), side("width"), side("channels")];
    fields.finish(errors);
    Some([sides[0]?, sides[1]?, sides[2]?])
}
