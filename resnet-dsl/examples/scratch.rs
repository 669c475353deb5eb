fn main() {
    for name in std::env::args().skip(1) {
        let text = resnet_dsl::shipped::get(&name)
            .map(str::to_owned)
            .unwrap_or_else(|| std::fs::read_to_string(&name).unwrap());
        let o = Default::default();
        let spec = resnet_dsl::Spec { name: &name, text: &text, overrides: &o };
        match spec.compile(&mut |_| Err("no".into())) {
            Ok(c) => println!(
                "{name}: peak {} params {} macs {}",
                c.plan.peak_bytes,
                c.plan.parameters(),
                c.plan.macs
            ),
            Err(e) => println!("{}", e.render(&name, &text)),
        }
    }
}
