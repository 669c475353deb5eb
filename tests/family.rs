//! A network of all operators, executed, against the evaluator.

mod common;
#[path = "../resnet-dsl/tests/formula/mod.rs"]
mod formula;

use std::num::NonZeroUsize;

use common::isas;
use formula::formula;
use resnet::runtime::weights::fill::uniform;
use resnet::runtime::{Program, Weights};
use resnet_dsl::evaluate::evaluate;
use resnet_dsl::ir::read::read;
use resnet_dsl::{pass, plan};

const NETWORK: &str = "
network family
%x = input {dims=2x9x11x6}
%a = conv2d %x {k=3x3 s=1 p=1 filters=32 w=@a:oihw relu}
%c = leaky_relu %a {slope=0.1}
%d = prelu %c {slope=@d:1}
%n = batch_norm %d {w=norm(@g,@b,@m,@v,1e-5,16..32) act=leaky_relu(0.5)}
%i = group_norm %n {gamma=@ig beta=@ib channels=0..16 eps=1e-5 relu}
%g = group_norm %i {groups=4 eps=1e-5}
%p = average_pool %g {global}
%e = channel_conv %p {k=3 w=@eca}
%s = sigmoid %e
%m = multiply %g, %s {act=hard_swish}
%sum = add %m, %n {act=prelu slope=@sum}
%blur = blur %sum {size=3 s=2}
%up = upsample %blur {times=2}
%stats = statistics_pool %up {over=width eps=1e-7}
%gem = gem_pool %up {p=3 eps=1e-6}
%learned = gem_pool %up {p=@gem eps=1e-6}
%unit = l2_normalize %learned {eps=1e-12}
return stats=%stats, middle=%n, %gem, unit=%unit
";

#[test]
fn all_operators() {
    let graph = read(NETWORK).unwrap();
    let mut typed = graph.clone();
    pass::infer_shapes(&mut typed).unwrap();
    let input: Vec<f32> = uniform("input").take(2 * 9 * 11 * 6).map(|u| 4.0 * u - 2.0).collect();
    let of_f64: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
    let exact = evaluate(&typed, &mut formula, &of_f64).unwrap();
    let for_images = |images| {
        let mut graph = graph.clone();
        graph.set_batch(images);
        pass::run_until(&mut graph, None, |_, _| {})?;
        Ok(graph)
    };
    let plan =
        plan::plan(2, for_images).unwrap_or_else(|errors| panic!("{}", errors.render("family", NETWORK)));
    for isa in isas("all operators") {
        for threads in [1, 3] {
            let weights = Weights::formula_for(isa, plan.description()).unwrap();
            let mut program =
                Program::new(plan.clone(), weights, NonZeroUsize::new(threads).unwrap()).unwrap();
            program.run(&vec![f32::NAN; input.len()]).unwrap();
            program.run(&input).unwrap();
            let names: Vec<&str> = program.outputs().map(|(name, _)| name).collect();
            assert_eq!(names, ["stats", "middle", "gem", "unit"]);
            for ((name, found), value) in program.outputs().zip(["stats", "n", "gem", "unit"]) {
                let expected = &exact[value].data;
                let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (f64::from(*found) - expected).abs() <= 2e-5 * largest,
                        "{isa}: {name}: {found} and not {expected}"
                    );
                }
            }
        }
    }
}
