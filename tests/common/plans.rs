//! Plans to be executed.

use resnet::Error;
use resnet::runtime::{Isa, Precision, Weights};
use resnet_dsl::spec::Overrides;
use resnet_dsl::{Spec, shipped};
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
