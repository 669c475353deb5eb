//! Plans to be executed.
#![allow(dead_code)] // each test uses some of it

use resnet::Error;
use resnet::runtime::{Isa, Precision, Weights};
use resnet_dsl::ir::read::read;
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, pass, plan, shipped};
use resnet_plan::{Description, Plan};

/// A halo, a padded pool, an output that begins with zero channels, sums in place.
pub(crate) const SMALL: &str = "
name: small
input: 16x16x4
classes: 5
stem:
  - conv: {filters: 16, kernel: 3, padding: 1}
  - max_pool: {window: 3, stride: 2, padding: 1}
block: basic
shortcut: subsample
stages:
  - {filters: 16, blocks: 1}
  - {filters: 32, blocks: 1, stride: 2}
head:
  - average_pool: global
  - flatten
  - dense
  - softmax
";

/// All operators.
pub(crate) const FAMILY: &str = "
network family
%x = input {dims=2x9x11x6}
%q = batch_norm %x {w=norm(@qg,@qb,@qm,@qv,1e-5,1..5)}
%o = conv2d %q {k=1x1 s=1 p=0 groups=2 filters=8 standardized=1e-6 w=@o:oihw}
%a = conv2d %o {k=3x3 s=1 p=1 filters=32 w=@a:oihw relu}
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
%w = conv2d %sum {k=1x1 s=1 p=0 filters=32 w=@w:oihw}
%ws = average_pool %w {global}
%wg = multiply %w, %ws
%gated = add %wg, %sum {act=silu}
%blur = blur %gated {size=3 s=2}
%up = upsample %blur {times=2}
%stats = statistics_pool %up {over=width eps=1e-7}
%gem = gem_pool %up {p=3 eps=1e-6}
%learned = gem_pool %up {p=@gem eps=1e-6}
%unit = l2_normalize %learned {eps=1e-12}
return stats=%stats, middle=%n, %gem, unit=%unit
";

/// The plan of [`FAMILY`].
pub(crate) fn family() -> Plan {
    let graph = |images| {
        let mut graph = read(FAMILY).expect("a graph");
        graph.set_batch(images);
        pass::run_until(&mut graph, None, |_, _| {})?;
        Ok(graph)
    };
    plan::plan(2, graph).unwrap_or_else(|errors| panic!("{}", errors.render("family", FAMILY)))
}

/// The plan of a spec.
pub(crate) fn plan(text: &str, precision: Precision) -> Plan {
    compiled("spec", text, precision)
}

/// The plan of a spec that ships.
pub(crate) fn shipped(model: &str, precision: Precision) -> Plan {
    compiled(model, shipped::get(model).unwrap(), precision)
}

fn compiled(name: &str, text: &str, precision: Precision) -> Plan {
    let overrides = Overrides { precision: Some(precision), ..Overrides::default() };
    let spec = Spec { name, text, overrides: &overrides };
    let compiled = spec.compile(&mut |_| Err("there are no files".to_owned()));
    compiled.unwrap_or_else(|errors| panic!("{}", errors.render(name, text))).plan
}

/// Weights for a plan, whatever weights its scales were made with.
pub(crate) fn weights(plan: &Plan) -> Result<Weights, Error> {
    Weights::formula_for(Isa::best(), &Description { calibrated: None, ..plan.description.clone() })
}
