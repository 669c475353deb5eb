//! A tree becomes an [`ast`](crate::spec::ast): every key is known, of its type and within bounds, or reported.

use resnet_plan::{self as plan, ChannelOrder, Preprocessing};

use crate::calibration::Calibration;
use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::ops::{AveragePool, Padding, Pool};
use crate::spec::ast::{
    Block, BlockKind, Conv, Layer, LayerKind, Relu, Settings, Shortcut, Spec, Stage, StrideOn,
};
use crate::spec::fields::{
    self, Fields, choice, count, flag, list, number, padding, pair, size, sizes, text,
};
use crate::spec::metadata::Precision;
use crate::spec::names::{self, Names};
use crate::spec::tree::{Kind, Node};
use crate::spec::{Overrides, ReadFile};

/// The most blocks of a spec.
const MOST_BLOCKS: usize = 2_000;

/// The spec of a tree, as far as it can be understood; what cannot is in `errors`.
pub(super) fn spec(
    tree: &Node,
    overrides: &Overrides,
    shipped: Option<&str>,
    read: ReadFile<'_>,
    errors: &mut Diagnostics,
) -> Option<Spec> {
    let mut fields = Fields::of(tree, "a spec", errors);
    let name = fields.required("name", errors).and_then(|node| text(node, errors));
    let input_node = fields.required("input", errors);
    let input = input_node.and_then(|node| input(node, errors));
    let batch = fields.read("batch", errors, size);
    let classes = fields.read("classes", errors, size);
    let names = fields.read("names", errors, names::parse).unwrap_or_else(Names::torchvision);
    let defaults = Settings {
        kind: BlockKind::Bottleneck,
        kernel: [3, 3],
        padding: None,
        stride_on: StrideOn::Middle,
        shortcut: Shortcut::Auto,
        relu: Relu::AfterAdd,
        bias: false,
        batch_norm: Some(1e-5),
        winograd: true,
    };
    let before = errors.serious();
    let settings = settings(&mut fields, &defaults, errors);
    let unclear = errors.serious() > before;
    let stem =
        fields.read("stem", errors, |node, errors| layers(node, &settings, errors)).unwrap_or_default();
    let stages = fields
        .read("stages", errors, |node, errors| stages(node, &settings, unclear, errors))
        .unwrap_or_default();
    let head =
        fields.read("head", errors, |node, errors| layers(node, &settings, errors)).unwrap_or_default();
    let precision = precision(&mut fields, overrides, shipped, read, errors);
    let preprocessing_node = fields.take("preprocessing");
    let labels_node = fields.take("labels");
    fields.finish(errors);

    let input = overrides.input.or(input);
    let channels = input.map_or(3, |input| input[2]);
    let preprocessing = preprocessing(preprocessing_node, channels, errors);
    let mut labels = labels_node.and_then(|node| labels(node, read, errors)).unwrap_or_default();
    if let (Some(node), Some(classes)) = (labels_node, classes)
        && !labels.is_empty()
        && labels.len() != classes
    {
        let message = format!("there are {} labels for {classes} classes", labels.len());
        errors.push(Diagnostic::new(message, node.span));
    }
    let classes = overrides.classes.or(classes);
    if overrides.classes.is_some() && classes != Some(labels.len()) {
        labels.clear();
    }
    let bounded = |size: Option<usize>| size.is_none_or(|size| (1..=fields::LARGEST).contains(&size));
    let sizes = overrides.input.into_iter().flatten().map(Some);
    if !sizes.chain([overrides.classes, overrides.batch]).all(bounded) {
        let message = format!("classes, batch and the sizes of the input are from 1 to {}", fields::LARGEST);
        errors.push(Diagnostic::new(message, Span::default()));
        return None;
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
        stages,
        head,
        preprocessing,
        labels,
    })
}

/// The precision that the caller asks for, or the spec. int8 takes the caller's calibration table, else the one that the spec's
/// `calibration` names, else the one that ships with the spec.
fn precision(
    fields: &mut Fields<'_>,
    overrides: &Overrides,
    shipped: Option<&str>,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
    errors: &mut Diagnostics,
) -> Precision {
    let names =
        [("f32", plan::Precision::F32), ("bf16", plan::Precision::Bf16), ("int8", plan::Precision::Int8)];
    let node = fields.take("precision");
    let wanted = node.and_then(|node| choice(node, &names, errors));
    let table = fields.take("calibration");
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
    let found = match (&overrides.calibration, table, shipped) {
        (Some(table), ..) => Ok(table.clone()),
        (None, Some(table), _) => {
            let Some(file) = text(table, errors) else { return Precision::F32 };
            let text = read(&file)
                .map_err(|reason| format!("cannot read the calibration table in {file}: {reason}"));
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

/// `on` or `off`, which some YAML readers take for `true` and `false`.
fn switch(node: &Node, errors: &mut Diagnostics) -> Option<bool> {
    match node.kind {
        Kind::Bool(on) => Some(on),
        _ => choice(node, &[("on", true), ("off", false)], errors),
    }
}

/// The settings that a spec, a stage and a block may all give.
fn settings(fields: &mut Fields<'_>, outer: &Settings, errors: &mut Diagnostics) -> Settings {
    let kinds = [("basic", BlockKind::Basic), ("bottleneck", BlockKind::Bottleneck)];
    let strides = [("first", StrideOn::First), ("middle", StrideOn::Middle)];
    let relus = [("after_add", Relu::AfterAdd), ("before_add", Relu::BeforeAdd), ("none", Relu::None)];
    Settings {
        kind: fields.read("block", errors, |node, e| choice(node, &kinds, e)).unwrap_or(outer.kind),
        kernel: fields.read("kernel", errors, pair).unwrap_or(outer.kernel),
        padding: fields.read("padding", errors, padding).or(outer.padding),
        stride_on: fields
            .read("stride_on", errors, |node, e| choice(node, &strides, e))
            .unwrap_or(outer.stride_on),
        shortcut: fields.read("shortcut", errors, shortcut).unwrap_or(outer.shortcut),
        relu: fields.read("relu", errors, |node, e| choice(node, &relus, e)).unwrap_or(outer.relu),
        bias: fields.read("bias", errors, flag).unwrap_or(outer.bias),
        batch_norm: fields.read("batch_norm", errors, batch_norm).unwrap_or(outer.batch_norm),
        winograd: fields.read("winograd", errors, switch).unwrap_or(outer.winograd),
    }
}

/// `false`, `true`, or `{epsilon: 1.0e-3}`.
fn batch_norm(node: &Node, errors: &mut Diagnostics) -> Option<Option<f64>> {
    if let Kind::Bool(on) = node.kind {
        return Some(on.then_some(1e-5));
    }
    let mut fields = Fields::of(node, "a batch norm", errors);
    let epsilon = fields.required("epsilon", errors).and_then(|node| {
        let epsilon = number(node, errors)?;
        if (0.0..=1.0).contains(&epsilon) {
            return Some(epsilon);
        }
        errors.push(Diagnostic::new(format!("epsilon is from 0 to 1, not {epsilon}"), node.span));
        None
    });
    fields.finish(errors);
    epsilon.map(Some)
}

/// A word, or a map of one kind of shortcut and its numbers.
fn shortcut(node: &Node, errors: &mut Diagnostics) -> Option<Shortcut> {
    let Kind::Map(_) = node.kind else {
        let plain = [
            ("auto", Shortcut::Auto),
            ("identity", Shortcut::Identity),
            ("projection", Shortcut::Projection { batch_norm: None }),
            ("subsample", Shortcut::Subsample { front: None, back: None }),
        ];
        return choice(node, &plain, errors);
    };
    let mut fields = Fields::of(node, "a shortcut", errors);
    let projection = fields.read("projection", errors, |node, errors| {
        let mut fields = Fields::of(node, "a projection", errors);
        let batch_norm = fields.read("batch_norm", errors, batch_norm);
        fields.finish(errors);
        Some(Shortcut::Projection { batch_norm })
    });
    let subsample = fields.read("subsample", errors, |node, errors| {
        let mut fields = Fields::of(node, "a subsample", errors);
        let front = fields.read("front", errors, count);
        let back = fields.read("back", errors, count);
        fields.finish(errors);
        Some(Shortcut::Subsample { front, back })
    });
    fields.finish(errors);
    projection.or(subsample)
}

/// `unclear`: the settings are not understood.
fn stages(node: &Node, outer: &Settings, unclear: bool, errors: &mut Diagnostics) -> Option<Vec<Stage>> {
    let mut budget = MOST_BLOCKS;
    list(node, errors, |node, errors| {
        let before = errors.serious();
        let mut stage = stage(node, outer, &mut budget, errors);
        if unclear || errors.serious() > before {
            stage.blocks.iter_mut().for_each(|block| block.unclear = true);
        }
        Some(stage)
    })
}

fn stage(node: &Node, outer: &Settings, budget: &mut usize, errors: &mut Diagnostics) -> Stage {
    let mut fields = Fields::of(node, "a stage", errors);
    let settings = settings(&mut fields, outer, errors);
    let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
    let filters = fields.take("filters").map(|node| filters(node, settings.kind, errors).unwrap_or_default());
    let entries = fields.required("blocks", errors).and_then(|node| blocks(node, budget, errors));
    let span = fields.span();
    fields.finish(errors);
    // A stage that is not understood stands as one block, so that nothing behind it is taken to follow what is before.
    let unclear = entries.is_none();
    let entries = entries.unwrap_or_else(|| vec![Entry { name: None, node: None, own: None }]);
    let mut blocks = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let stride = if index == 0 { stride } else { [1, 1] };
        let plain = Block {
            name: entry.name.map(str::to_owned),
            settings: settings.clone(),
            filters: filters.clone().unwrap_or_default(),
            stride,
            unclear,
            span: entry.node.map_or(span, |node| node.span),
        };
        let (block, has_filters) = match entry.own {
            Some(own) => own_block(own, plain, errors),
            None => (plain, false),
        };
        let told = blocks.last().is_some_and(|last: &Block| last.span == block.span);
        if filters.is_none() && !has_filters && !unclear && !told {
            errors.push(
                Diagnostic::new("a block has no filters", block.span)
                    .help("give `filters` to the stage, or to each of its blocks"),
            );
        }
        blocks.push(block);
    }
    Stage { blocks }
}

/// One of a stage's blocks: its name, where it stands, and the settings of its own.
struct Entry<'a> {
    name: Option<&'a str>,
    node: Option<&'a Node>,
    own: Option<&'a Node>,
}

/// A number of blocks, or a list of names, some with settings: `3`, or `[a, b: {filters: [256, 256, 2048]}]`.
fn blocks<'a>(node: &'a Node, budget: &mut usize, errors: &mut Diagnostics) -> Option<Vec<Entry<'a>>> {
    let entries: Vec<Entry<'a>> = match &node.kind {
        Kind::List(_) => list(node, errors, |node, errors| match &node.kind {
            Kind::Text(name) => Some(Entry { name: Some(name), node: Some(node), own: None }),
            Kind::Map(map) if map.len() == 1 => {
                Some(Entry { name: Some(&map[0].0.text), node: Some(node), own: Some(&map[0].1) })
            }
            other => {
                let message = format!("expected a block's name, found {}", other.describe());
                errors.push(
                    Diagnostic::new(message, node.span)
                        .help("write `- a`, or `- a: {filters: [64, 64, 256]}`"),
                );
                None
            }
        })?,
        _ => {
            let count = size(node, errors)?.min(*budget + 1);
            (0..count).map(|_| Entry { name: None, node: None, own: None }).collect()
        }
    };
    if entries.len() > *budget {
        errors.push(Diagnostic::new(format!("a spec has at most {MOST_BLOCKS} blocks"), node.span));
        return None;
    }
    *budget -= entries.len();
    Some(entries)
}

/// A block with settings of its own, and whether `filters` are among them.
fn own_block(node: &Node, plain: Block, errors: &mut Diagnostics) -> (Block, bool) {
    let mut fields = Fields::of(node, "a block", errors);
    let settings = settings(&mut fields, &plain.settings, errors);
    let filters = fields.take("filters").map(|node| filters(node, settings.kind, errors).unwrap_or_default());
    let stride = fields.read("stride", errors, pair).unwrap_or(plain.stride);
    fields.finish(errors);
    let has_filters = filters.is_some();
    (Block { filters: filters.unwrap_or(plain.filters), settings, stride, ..plain }, has_filters)
}

/// `[F1, F2]` of a basic block, `[F1, F2, F3]` of a bottleneck; one number F is `[F, F]`, or `[F, F, 4F]`.
fn filters(node: &Node, kind: BlockKind, errors: &mut Diagnostics) -> Option<Vec<usize>> {
    let (expected, name) = match kind {
        BlockKind::Basic => (2, "basic block"),
        BlockKind::Bottleneck => (3, "bottleneck"),
    };
    if let Kind::Int(_) = node.kind {
        let filters = size(node, errors)?;
        return Some(match kind {
            BlockKind::Basic => vec![filters; 2],
            BlockKind::Bottleneck => vec![filters, filters, 4 * filters],
        });
    }
    let before = errors.serious();
    let filters = list(node, errors, size)?;
    if filters.len() != expected && errors.serious() == before {
        let message = format!("a {name} has {expected} convolutions, here are {} filters", filters.len());
        errors.push(Diagnostic::new(message, node.span));
    }
    (filters.len() == expected).then_some(filters)
}

fn layers(node: &Node, settings: &Settings, errors: &mut Diagnostics) -> Option<Vec<Layer>> {
    list(node, errors, |node, errors| {
        let before = errors.serious();
        let layer = layer(node, settings, errors);
        let unclear = Layer { name: None, kind: LayerKind::Unclear, span: node.span };
        Some(layer.filter(|_| errors.serious() == before).unwrap_or(unclear))
    })
}

/// `flatten`, or `conv: {...}`.
fn layer(node: &Node, settings: &Settings, errors: &mut Diagnostics) -> Option<Layer> {
    const KINDS: [&str; 7] = ["zero_pad", "conv", "max_pool", "average_pool", "flatten", "dense", "softmax"];
    let empty = Node { span: node.span, kind: Kind::Map(Vec::new()) };
    let (kind, value, span) = match &node.kind {
        Kind::Text(kind) => (kind.as_str(), &empty, node.span),
        Kind::Map(map) if map.len() == 1 => {
            let (key, value) = &map[0];
            let value = if value.kind == Kind::Null { &empty } else { value };
            (key.text.as_str(), value, Span { start: key.span.start, end: value.span.end.max(key.span.end) })
        }
        other => {
            let message = format!("expected one layer, found {}", other.describe());
            let help = format!("a layer is one of {}", KINDS.join(", "));
            errors.push(Diagnostic::new(message, node.span).help(help));
            return None;
        }
    };
    let mut name = None;
    let kind = match kind {
        "zero_pad" => LayerKind::ZeroPad(fields::sides(value, errors)?),
        "conv" => LayerKind::Conv(conv(value, settings, &mut name, errors)?),
        "max_pool" => LayerKind::MaxPool(pool(value, &mut name, errors)?.0),
        "average_pool" if value.kind == Kind::Text("global".to_owned()) => {
            LayerKind::AveragePool(AveragePool { pool: None, count_padding: false })
        }
        "average_pool" => {
            let (pool, count_padding) = pool(value, &mut name, errors)?;
            LayerKind::AveragePool(AveragePool { pool: Some(pool), count_padding })
        }
        "flatten" | "softmax" => {
            let mut fields = Fields::of(value, "this layer", errors);
            name = fields.read("name", errors, text);
            fields.finish(errors);
            if kind == "flatten" { LayerKind::Flatten } else { LayerKind::Softmax }
        }
        "dense" => {
            let mut fields = Fields::of(value, "a dense layer", errors);
            name = fields.read("name", errors, text);
            let units = fields.read("units", errors, size);
            let bias = fields.read("bias", errors, flag).unwrap_or(true);
            fields.finish(errors);
            LayerKind::Dense { units, bias }
        }
        unknown => {
            let help = match fields::nearest(unknown, &KINDS) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("there are {}", KINDS.join(", ")),
            };
            errors.push(Diagnostic::new(format!("`{unknown}` is not a layer"), span).help(help));
            return None;
        }
    };
    Some(Layer { name, kind, span })
}

fn conv(
    node: &Node,
    settings: &Settings,
    name: &mut Option<String>,
    errors: &mut Diagnostics,
) -> Option<Conv> {
    let mut fields = Fields::of(node, "a convolution", errors);
    *name = fields.read("name", errors, text);
    let filters = fields.required("filters", errors).and_then(|node| size(node, errors));
    let kernel = fields.required("kernel", errors).and_then(|node| pair(node, errors));
    let stride = fields.read("stride", errors, pair).unwrap_or([1, 1]);
    let padding = fields.read("padding", errors, padding).unwrap_or(Padding::Valid);
    let bias = fields.read("bias", errors, flag).unwrap_or(settings.bias);
    let batch_norm = fields.read("batch_norm", errors, batch_norm).unwrap_or(settings.batch_norm);
    let relu = fields.read("relu", errors, flag).unwrap_or(true);
    let winograd = fields.read("winograd", errors, switch).unwrap_or(settings.winograd);
    fields.finish(errors);
    Some(Conv { filters: filters?, kernel: kernel?, stride, padding, bias, batch_norm, relu, winograd })
}

fn pool(node: &Node, name: &mut Option<String>, errors: &mut Diagnostics) -> Option<(Pool, bool)> {
    let mut fields = Fields::of(node, "a pooling layer", errors);
    *name = fields.read("name", errors, text);
    let window = fields.required("window", errors).and_then(|node| pair(node, errors));
    let stride = fields.read("stride", errors, pair);
    let padding = fields.read("padding", errors, padding).unwrap_or(Padding::Valid);
    let ceil = fields.read("ceil", errors, flag).unwrap_or(false);
    let count_padding = fields.read("count_padding", errors, flag).unwrap_or(false);
    fields.finish(errors);
    let window = window?;
    Some((Pool { window, stride: stride.unwrap_or(window), padding, ceil }, count_padding))
}

fn preprocessing(node: Option<&Node>, channels: usize, errors: &mut Diagnostics) -> Preprocessing {
    let empty = Node { span: Span::default(), kind: Kind::Map(Vec::new()) };
    let mut fields = Fields::of(node.unwrap_or(&empty), "preprocessing", errors);
    let orders = [("rgb", ChannelOrder::Rgb), ("bgr", ChannelOrder::Bgr), ("gray", ChannelOrder::Gray)];
    let order = fields.read("channels", errors, |node, errors| choice(node, &orders, errors));
    let numbers = |node: &Node, errors: &mut Diagnostics| {
        let numbers = list(node, errors, number)?;
        if numbers.len() == channels {
            return Some(numbers.into_iter().map(|number| number as f32).collect());
        }
        let message = format!("{} numbers for {channels} channels", numbers.len());
        errors.push(Diagnostic::new(message, node.span));
        None
    };
    let preprocessing = Preprocessing {
        resize: fields.read("resize", errors, size),
        crop: fields.read("crop", errors, flag).unwrap_or(false),
        channels: order.unwrap_or(if channels == 1 { ChannelOrder::Gray } else { ChannelOrder::Rgb }),
        scale: fields.read("scale", errors, number).map_or(1.0 / 255.0, |scale| scale as f32),
        mean: fields.read("mean", errors, numbers).unwrap_or_else(|| vec![0.0; channels]).into(),
        std: fields.read("std", errors, numbers).unwrap_or_else(|| vec![1.0; channels]).into(),
    };
    if let Some(node) = node
        && preprocessing.std.contains(&0.0)
    {
        errors.push(Diagnostic::new("a standard deviation of 0 cannot be divided by", node.span));
    }
    fields.finish(errors);
    preprocessing
}

/// A list of names, or a file of one name a line.
fn labels(node: &Node, read: ReadFile<'_>, errors: &mut Diagnostics) -> Option<Vec<String>> {
    let Kind::Text(file) = &node.kind else { return list(node, errors, text) };
    match read(file) {
        Ok(text) => {
            Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
        }
        Err(reason) => {
            let message = format!("cannot read the labels in {file}: {reason}");
            errors.push(Diagnostic::new(message, node.span).help("the path is relative to the spec"));
            None
        }
    }
}
