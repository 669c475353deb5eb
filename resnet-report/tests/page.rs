//! The page: whole, small, harmless, and of use without a script.

mod made_up;

use resnet_report::html;

#[test]
fn pages_are_small_and_ask_for_nothing() {
    for (name, most) in [("torchvision/resnet50", 300_000), ("torchvision/resnet152", 1_000_000)] {
        let page = html(&made_up::report(name));
        assert!(page.len() < most, "{name}: {} bytes", page.len());
        assert!(!page.contains("<!--"), "{name}: a part is missing");
        let loads = ["src=", "<link", "@import", "url(", "https:"];
        assert!(loads.iter().all(|load| !page.contains(load)), "{name}");
        let svg = "http://www.w3.org/2000/svg"; // the name of a language, which nothing asks for
        assert!(!page.replace(svg, "").contains("http:"), "{name}");
    }
}

#[test]
fn what_matters_is_there_without_a_script() {
    let mut report = made_up::report("digits");
    let page = html(&report);
    let machine = report.costs.machine.name.clone();
    for text in ["77.8", "9.35", "119.2", &machine, "layer3.0.downsample.1", "9 batch norms folded"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains(">measured<") && !page.contains("Accuracy"));
    made_up::measure(&mut report);
    made_up::verify(&mut report);
    let page = html(&report);
    assert!(page.contains(">measured<") && page.contains("the first beyond"));
}

#[test]
fn names_are_text() {
    let mut report = made_up::report("digits");
    made_up::verify(&mut report);
    let name = "<img src=x onerror=alert(1)>\"'&<!--report-->";
    for layer in &mut report.layers {
        for text in
            [&mut layer.name, &mut layer.block, &mut layer.stage, &mut layer.kind, &mut layer.operator]
        {
            *text += name;
        }
        layer.algorithm = Some(name.to_owned());
    }
    for text in [&mut report.spec.name, &mut report.spec.source, &mut report.spec.precision] {
        *text += name;
    }
    for pass in &mut report.passes {
        pass.name += name;
        pass.outcome += name;
        pass.summary += name;
    }
    report.memory.buffers.iter_mut().for_each(|buffer| buffer.name += name);
    report.spec.outputs.iter_mut().for_each(|output| output.name += name);
    report.costs.machine.name += name;
    let verified = report.verified.as_mut().unwrap();
    verified.reference += name;
    for isa in &mut verified.isas {
        isa.isa += name;
        isa.layers.iter_mut().for_each(|layer| layer.name += name);
    }
    let page = html(&report);
    assert!(!page.contains("<img") && !page.contains("<!--") && !page.contains("\"'&<"), "{page}");
}

#[test]
fn a_report_that_makes_no_sense_is_a_page() {
    let mut report = made_up::report("digits");
    made_up::measure(&mut report);
    report.measured.as_mut().unwrap().steps_us.clear();
    report.memory.peak_bytes = 0;
    report.memory.buffers[0].live = [7, 3];
    report.memory.buffers[1].live = [0, usize::MAX];
    report.memory.buffers[2].bytes = usize::MAX;
    report.costs.machine.gflops = 0.0;
    report.layers[0].steps = vec![usize::MAX];
    report.layers[1].predicted_us = f64::NAN;
    report.plan.steps.clear();
    report.passes.clear();
    html(&report);
    report.layers.clear();
    html(&report);
}
