//! The evaluator against values computed by hand, and what it says of graphs that it does not take.

use std::collections::HashMap;

use resnet_dsl::evaluate::{Array, EvaluateError, evaluate};
use resnet_dsl::ir::read::read;
use resnet_dsl::ir::{Graph, Op};
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, pass};
use resnet_plan::{Role, WeightTensor};

/// A graph from its lines, of which the last one is the output; the input is `%x`.
fn graph(lines: &str) -> Graph {
    let last = lines.lines().last().and_then(|line| line.split_once(" = ")).unwrap().0.trim();
    read(&format!("network net\n{lines}\nreturn {last}")).unwrap()
}

/// Tensors count up from 1; batch norms have the mean 1, variance 4, and a scale of 2 that counts up by channels.
fn count(tensor: &WeightTensor<'_>) -> Result<Vec<f64>, String> {
    let count = tensor.dims.iter().product::<usize>();
    Ok((0..count)
        .map(|index| match tensor.role {
            Role::Kernel { .. } | Role::Bias => 1.0 + index as f64,
            Role::Gamma => 2.0 + index as f64,
            Role::Beta => 0.5,
            Role::Mean => 1.0,
            Role::Slope => 0.25,
            Role::Variance { .. } => 4.0,
            Role::Exponent => 3.0,
        })
        .collect())
}

fn run(graph: &Graph, input: &[f64]) -> Result<HashMap<String, Array>, EvaluateError> {
    evaluate(graph, &mut count, input)
}

/// The output for the input 1, 2, ...
fn output(lines: &str) -> Vec<f64> {
    let graph = graph(lines);
    let mut op = graph.node(graph.topological()[0]).op.clone();
    let elements = op.infer(&[]).unwrap().iter().product::<usize>();
    let input: Vec<f64> = (1..=elements).map(|x| x as f64).collect();
    let mut values = run(&graph, &input).unwrap();
    values.remove(&graph.node(graph.output().unwrap()).name).unwrap().data
}

#[test]
fn kernels_of_both_layouts() {
    // Two pixels of two channels, two filters: [kernel position, input, output] or [output, input, position].
    let x = "%x = input {dims=1x1x2x2}\n";
    let conv = |layout: &str| format!("{x}%y = conv2d %x {{k=1x2 s=1 p=0 filters=2 w=@w:{layout} b=@b}}");
    assert_eq!(output(&conv("hwio")), [1.0 + 1.0 + 6.0 + 15.0 + 28.0, 2.0 + 2.0 + 8.0 + 18.0 + 32.0]);
    assert_eq!(output(&conv("oihw")), [1.0 + 1.0 + 6.0 + 6.0 + 16.0, 2.0 + 5.0 + 14.0 + 18.0 + 32.0]);
    let dense = |layout: &str| format!("{x}%f = flatten %x\n%y = dense %f {{units=2 w=@w:{layout} b=@b}}");
    assert_eq!(output(&dense("io")), output(&conv("hwio")));
    assert_eq!(output(&dense("oi")), output(&conv("oihw")));
}

#[test]
fn padding_and_stride() {
    let conv = "%x = input {dims=1x3x3x1}\n%y = conv2d %x {k=2x2 s=2 p=1,0,1,0 filters=1 w=@w:hwio}";
    // Windows over [0 0; 0 1], [0 0; 2 3], [0 4; 0 7], [5 6; 8 9].
    assert_eq!(output(conv), [4.0, 18.0, 8.0 + 28.0, 5.0 + 12.0 + 24.0 + 36.0]);
}

#[test]
fn fused_operators() {
    let x = "%x = input {dims=1x1x1x2}\n%n = batch_norm %x {w=norm(@g,@b,@m,@v,0e0)}\n";
    // (1 - 1) * 2 / 2 + 0.5, (2 - 1) * 3 / 2 + 0.5
    assert_eq!(output(x), [0.5, 2.0]);
    let conv = "%y = conv2d %n, %n {k=1 s=1 p=0 filters=2 w=fold(@w:hwio,norm(@g,@b,@m,@v,0e0)) b=fold(0,norm(@g,@b,@m,@v,0e0)) relu}";
    // Sums 6.5 and 9, normalized; then the residual.
    assert_eq!(output(&format!("{x}{conv}")), [6.5 - 1.0 + 0.5 + 0.5, (9.0 - 1.0) * 1.5 + 0.5 + 2.0]);
    let negative = "%p = max_pool %x {k=1 s=1 p=0}\n%a = add %p, %x {relu}";
    let negative = graph(&format!("%x = input {{dims=1x1x1x2}}\n{negative}"));
    let values = run(&negative, &[-1.0, 3.0]).unwrap();
    assert_eq!(values["a"].data, [0.0, 6.0]);
    assert!(run(&negative, &[f64::NAN, 0.0]).unwrap()["a"].data[0].is_nan());
}

#[test]
fn pools() {
    let pool = |kind: &str, attributes: &str| {
        output(&format!("%x = input {{dims=1x3x3x1}}\n%y = {kind} %x {{{attributes}}}"))
    };
    assert_eq!(pool("max_pool", "k=2 s=2 p=0"), [5.0]);
    assert_eq!(pool("max_pool", "k=2 s=2 p=0 ceil"), [5.0, 6.0, 8.0, 9.0]);
    assert_eq!(pool("average_pool", "k=2 s=2 p=0 ceil"), [3.0, 4.5, 7.5, 9.0]);
    assert_eq!(pool("average_pool", "k=2 s=2 p=1"), [1.0, 2.5, 5.5, 7.0]);
    assert_eq!(pool("average_pool", "k=2 s=2 p=1 count_padding"), [0.25, 1.25, 2.75, 7.0]);
    // The third window of an axis reaches one beyond the padding, which does not count.
    let counted = pool("average_pool", "k=2 s=2 p=1 ceil count_padding");
    assert_eq!(counted, pool("average_pool", "k=2 s=2 p=1 count_padding"));
    assert_eq!(pool("average_pool", "global"), [5.0]);
    assert_eq!(
        pool("average_pool", "k=3 s=3 p=1 ceil count_padding"),
        [12.0 / 9.0, 9.0 / 6.0, 15.0 / 6.0, 9.0 / 4.0]
    );
}

/// PyTorch's output sizes: rounded up, a window that begins in the image may be larger than it, by less than the stride.
#[test]
fn ceiled_windows_larger_than_the_image() {
    let pixels = |kind: &str, size: &str, attributes: &str| {
        output(&format!("%x = input {{dims=1x{size}x1}}\n%y = {kind} %x {{{attributes} ceil}}"))
    };
    assert_eq!(pixels("average_pool", "1x1", "k=2 s=2 p=0"), [1.0]);
    assert_eq!(pixels("max_pool", "1x1", "k=2 s=2 p=0"), [1.0]);
    assert_eq!(pixels("average_pool", "1x3", "k=2 s=2 p=0"), [1.5, 3.0]);
    assert_eq!(pixels("average_pool", "1x1", "k=4 s=2 p=1 count_padding"), [1.0 / 9.0]);
    let wide = "%x = input {dims=1x1x1x1}\n%y = max_pool %x {k=3 s=2 p=0 ceil}";
    assert!(run(&graph(wide), &[1.0]).is_err());
}

/// Weights that are made up depend on a tensor's sizes and role: whoever loads it must ask for the same.
#[test]
fn the_plan_asks_for_the_same_tensors() {
    let text = "name: net\ninput: 4x4x4\nstem:\n  - conv: {filters: 8, kernel: 3, groups: 2, bias: true}\n  - prelu\n  \
                - conv: {filters: 8, kernel: 1, groups: 8, activation: none}\nhead: [{gem_pool: {learned: true}}, flatten, {dense: 3}]\n";
    let overrides = Overrides::default();
    let spec = Spec { name: "net", text, overrides: &overrides };
    let read = &mut |_: &str| Err(String::new());
    let graph = spec.parse(read).unwrap().graph;
    let mut asked = HashMap::new();
    let mut load = |tensor: &WeightTensor<'_>| {
        asked.insert(tensor.name.to_owned(), (tensor.dims.clone(), tensor.role));
        count(tensor)
    };
    evaluate(&graph, &mut load, &[1.0; 64]).unwrap();
    let plan = spec.compile(read).unwrap().plan;
    let planned =
        plan.description.tensors().map(|tensor| (tensor.name.to_owned(), (tensor.dims, tensor.role)));
    assert_eq!(asked, planned.collect());
}

/// Two groups of two channels: each output sees its own half.
#[test]
fn groups_and_dilation() {
    let grouped = "%x = input {dims=1x1x1x4}\n%y = conv2d %x {k=1 s=1 p=0 groups=2 filters=2 w=@w:oihw}";
    assert_eq!(output(grouped), [1.0 + 4.0, 9.0 + 16.0]);
    let grouped = grouped.replace("oihw", "hwio");
    assert_eq!(output(&grouped), [1.0 + 6.0, 6.0 + 16.0]);
    // Rows 1 and 3, columns 1 and 3 of three by three.
    let dilated = "%x = input {dims=1x3x3x1}\n%y = conv2d %x {k=2x2 s=1 p=0 d=2 filters=1 w=@w:hwio}";
    assert_eq!(output(dilated), [1.0 + 6.0 + 21.0 + 36.0]);
    // Weights 1, 2, 3 and 4 have the mean 2.5 and the variance 1.25.
    let standardized =
        "%x = input {dims=1x1x1x4}\n%y = conv2d %x {k=1 s=1 p=0 filters=1 standardized=0e0 w=@w:oihw}";
    let sum = (-1.5 - 0.5 * 2.0 + 0.5 * 3.0 + 1.5 * 4.0) / 1.25f64.sqrt();
    assert!((output(standardized)[0] - sum).abs() < 1e-12);
}

#[test]
fn activations_and_norms() {
    let x = "%x = input {dims=1x1x2x2}\n";
    assert_eq!(
        output(&format!("{x}%n = batch_norm %x {{w=norm(@g,@b,@m,@v,0e0,1..2)}}")),
        [1.0, 1.5, 3.0, 3.5]
    );
    let negative =
        graph("%x = input {dims=1x1x1x2}\n%y = prelu %x {slope=@s}\n%z = leaky_relu %y {slope=0.5}");
    assert_eq!(run(&negative, &[-8.0, 3.0]).unwrap()["z"].data, [-1.0, 3.0]);
    // Each channel is 1 and 3, or 2 and 4: minus or plus 1, times 2 or 3, plus 0.5.
    let instance = format!("{x}%n = group_norm %x {{gamma=@g beta=@b eps=0e0}}");
    assert_eq!(output(&instance), [-1.5, -2.5, 2.5, 3.5]);
    let half = format!("{x}%n = group_norm %x {{gamma=@g beta=@b channels=1..2 eps=0e0 relu}}");
    assert_eq!(output(&half), [1.0, 0.0, 3.0, 2.5]);
    let group = format!("{x}%n = group_norm %x {{groups=1 eps=0e0}}");
    let deviation = 1.25f64.sqrt();
    assert_eq!(output(&group), [-1.5, -0.5, 0.5, 1.5].map(|x| x / deviation));
    assert_eq!(output("%x = input {dims=1x1x1x2}\n%y = l2_normalize %x {eps=5e0}"), [0.2, 0.4]);
}

#[test]
fn what_makes_fewer_or_more_pixels() {
    let x = "%x = input {dims=1x2x2x1}\n";
    assert_eq!(
        output(&format!("{x}%m = average_pool %x {{global}}\n%y = multiply %x, %m")),
        [2.5, 5.0, 7.5, 10.0]
    );
    let statistics = |over: &str| output(&format!("{x}%y = statistics_pool %x {{over={over} eps=0e0}}"));
    assert_eq!(statistics("width"), [1.5, 0.5f64.sqrt(), 3.5, 0.5f64.sqrt()]);
    assert_eq!(statistics("image"), [2.5, (5.0f64 / 3.0).sqrt()]);
    assert_eq!(output(&format!("{x}%y = gem_pool %x {{p=1 eps=3e0}}")), [13.0 / 4.0]);
    assert_eq!(
        output(&format!("{x}%y = upsample %x {{times=1x2}}")),
        [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
    );
    // Rows 2 1 2 and columns 2 1 2 around the first pixel, weighted 1 2 1.
    let corner = (4.0 + 2.0 * 3.0 + 4.0 + 2.0 * (2.0 + 2.0 * 1.0 + 2.0) + 4.0 + 2.0 * 3.0 + 4.0) / 16.0;
    assert_eq!(output(&format!("{x}%y = blur %x {{size=3 s=2}}")), [corner]);
    let channels = "%x = input {dims=1x1x1x4}\n%y = channel_conv %x {k=3 w=@w}";
    assert_eq!(output(channels), [2.0 + 6.0, 1.0 + 4.0 + 9.0, 2.0 + 6.0 + 12.0, 3.0 + 8.0]);
}

#[test]
fn copies_and_softmax() {
    let x = "%x = input {dims=1x2x3x1}\n";
    let subsampled = output(&format!("{x}%y = subsample %x {{s=2 front=1 back=2}}"));
    assert_eq!(subsampled, [0.0, 1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
    let padded = output(&format!("{x}%y = zero_pad %x {{p=1,0,0,1}}"));
    assert_eq!(padded, [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
    let softmax = run(&graph("%x = input {dims=2x1x1x2}\n%y = softmax %x"), &[1e3, 1e3, 0.0, 3f64.ln()]);
    let expected = [0.5, 0.5, 0.25, 0.75];
    assert!(softmax.unwrap()["y"].data.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
}

#[test]
fn what_is_refused() {
    let error = |graph: &Graph| run(graph, &[0.0; 4]).unwrap_err().to_string();
    let x = "%x = input {dims=1x2x2x1}\n";
    let conv = format!("{x}%y = conv2d %x {{k=3 s=1 p=0 filters=1 w=@w:hwio}}");
    let found = error(&graph(&conv));
    assert!(found.contains("a window of 3x3 is larger than its input of 2x2 (in `y`)"), "{found}");
    let add = graph(&format!("{x}%y = add %x, %x"));
    let mut one = add.clone();
    one.set_operands(one.output().unwrap(), &add.topological()[..1]);
    assert!(error(&one).contains("%y: `add` does not take 1 operands"));
    let mut cycle = add.clone();
    let y = cycle.output().unwrap();
    cycle.set_operands(y, &[y, y]);
    assert!(error(&cycle).contains("the graph has a cycle"));
    assert!(error(&Graph::new("empty")).contains("the graph has no output"));
    assert_eq!(run(&add, &[0.0]).unwrap_err().to_string(), "the input has 1 elements, [1, 2, 2, 1] needs 4");
    let bytes = "%x = input {dims=1x2x2x1} : u8(0.5)[1,2,2,1]";
    assert!(error(&graph(bytes)).starts_with("%x is u8(0.5): only graphs whose values are all f32"));
}

#[test]
fn what_a_loader_gives_is_checked() {
    let graph = graph("%x = input {dims=1x1x1x4}\n%y = dense %x {units=2 w=@w:oi b=@b}");
    let error = |load: &mut dyn FnMut(&WeightTensor<'_>) -> Result<Vec<f64>, String>| {
        evaluate(&graph, load, &[0.0; 4]).unwrap_err().to_string()
    };
    assert_eq!(error(&mut |_| Err("not there".to_owned())), "cannot load `w`: not there");
    assert_eq!(error(&mut |_| Ok(vec![0.0; 8])), "`b` has 8 elements, [2] needs 2");
}

/// Sizes whose sums and products do not fit a `usize` are errors, wherever they stand.
#[test]
fn no_size_is_too_large() {
    const HUGE: usize = usize::MAX / 2 + 1;
    let lines = [
        "%y = zero_pad %x {p=1}",
        "%y = conv2d %x {k=1 s=1 p=1 filters=1 w=@w:hwio}",
        "%y = conv2d %x {k=1 s=1 p=same filters=1 w=@w:hwio}",
        "%y = max_pool %x {k=3 s=1 p=1}",
        "%y = average_pool %x {k=3 s=1 p=1}",
        "%y = subsample %x {s=1 front=0 back=0}",
        "%y = dense %x {units=1 w=@w:io}",
        "%y = flatten %x",
        "%y = average_pool %x {global}",
    ];
    for line in lines {
        let small = graph(&format!("%x = input {{dims=1x1x1x4}}\n{line}"));
        run(&small, &[0.0; 4]).unwrap_or_else(|error| panic!("{line}: {error}"));
        let [x, y] = small.topological()[..] else { panic!("{line}") };
        for size in [1 << 29, HUGE, usize::MAX] {
            let mut input = small.clone();
            input.node_mut(x).op = Op::Input([size; 4]);
            let mut attributes = small.clone();
            match &mut attributes.node_mut(y).op {
                Op::ZeroPad(sides) => (sides.top, sides.bottom) = (size, size),
                Op::Conv2d(conv) => conv.filters = size,
                Op::MaxPool(pool) => pool.window[0] = size,
                Op::Subsample(subsample) => (subsample.front, subsample.back) = (size, size),
                Op::Dense(dense) => dense.units = size,
                _ => attributes = input.clone(),
            }
            let mut typed = small.clone();
            pass::infer_shapes(&mut typed).unwrap();
            typed.node_mut(x).ty.as_mut().unwrap().dims = [size, size, size, 4];
            for graph in [input, attributes, typed] {
                let error = run(&graph, &[0.0; 4]).unwrap_err();
                assert!(matches!(error, EvaluateError::Graph(_)), "{line}: {error}");
            }
        }
    }
}

/// Each value is small enough, all together are not.
#[test]
fn memory_is_counted_first() {
    let line = |n: usize| format!("%y{n} = relu %x\n");
    let lines: String = (0..2).map(line).collect();
    let graph = graph(&format!("%x = input {{dims=1x4096x4096x16}}\n{}", lines.trim_end()));
    assert_eq!(run(&graph, &[]).unwrap_err(), EvaluateError::TooLarge { elements: 3 << 28 });
}

/// A batch norm goes into the convolution behind it, with groups, a range of channels, standardized weights, and as a dense layer.
#[test]
fn norms_go_into_the_layers_behind_them() {
    let lines = "%x = input {dims=2x7x7x4}
%n1 = batch_norm %x {w=norm(@g1,@b1,@m1,@v1,1e-5)}
%c1 = conv2d %n1 {k=3x3 s=1 p=0 groups=2 filters=6 standardized=1e-6 w=@w1:oihw b=@c1}
%r1 = relu %c1
%n2 = batch_norm %r1 {w=norm(@g2,@b2,@m2,@v2,1e-5,1..4)}
%c2 = conv2d %n2 {k=2x2 s=2 p=0 filters=4 w=@w2:hwio}
%bn = batch_norm %c2 {w=norm(@g3,@b3,@m3,@v3,1e-5,0..3)}
%r2 = relu %bn
%n3 = batch_norm %r2 {w=norm(@g4,@b4,@m4,@v4,1e-5)}
%f = flatten %n3
%y = dense %f {units=5 w=@w3:oi b=@c3}";
    let graph = graph(lines);
    let mut folded = graph.clone();
    pass::run_until(&mut folded, None, |_, _| {}).unwrap();
    assert!(!folded.topological().iter().any(|value| matches!(folded.node(*value).op, Op::BatchNorm { .. })));
    let read_again = read(&folded.to_string()).unwrap();
    assert_eq!(read_again.to_string(), folded.to_string());
    let input: Vec<f64> = (0..2 * 7 * 7 * 4).map(|x| (f64::from(x) * 0.7).sin() * 5.0).collect();
    let [unfolded, folded] = [&graph, &read_again].map(|graph| run(graph, &input).unwrap());
    for name in ["r1", "r2", "y"] {
        let [a, b] = [&unfolded[name].data, &folded[name].data];
        let largest = a.iter().fold(0.0f64, |max, x| max.max(x.abs()));
        assert!(largest > 1.0 && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * largest), "%{name}");
    }
}

#[test]
fn norms_that_do_not_fit_are_errors() {
    let norm = |range: &str| format!("norm(@g,@b,@m,@v,1e-5,{range})");
    let x = "%x = input {dims=1x2x2x4}\n";
    for (attributes, fits) in [
        (format!("w=fold({},@w:oihw) b=fold({},0)", norm("0..4"), norm("1..4")), true),
        (format!("w=fold({},@w:oihw)", norm("0..5")), false),
        (format!("w=@w:oihw b=fold({},0)", norm("3..3")), false),
        (format!("w=@w:oihw b=fold(0,{})", norm("0..9")), false),
    ] {
        let graph = graph(&format!("{x}%y = conv2d %x {{k=1 s=1 p=0 filters=2 {attributes}}}"));
        assert_eq!(run(&graph, &[0.0; 16]).is_ok(), fits, "{attributes}");
    }
    let dense = |attributes: &str| {
        read(&format!("network net\n{x}%f = flatten %x\n%y = dense %f {{units=3 {attributes}}}\nreturn %y"))
    };
    assert!(dense(&format!("w=fold({},@w:oi)", norm("0..4"))).is_err());
    assert!(dense("w=fold(@w:oi)").is_err());
    let other = dense(&format!("w=fold(@w:oi,{})", norm("0..4"))).unwrap();
    assert!(run(&other, &[0.0; 16]).is_err());
}
