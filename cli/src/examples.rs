//! Examples of each command, for its help.

pub(crate) const FIRST: &str = "\
Residual networks compiled ahead of time into plain Rust: tools for any spec.

Try first:
  resnet inspect torchvision/resnet50 --stage spec   # the layers of a network that ships, and what they cost
  resnet bench torchvision/resnet50                  # how fast it is here
  resnet classify 7.png                              # a photo of a digit, by weights that are in this program

resnet --help lists all commands; resnet COMMAND --help has examples of each.";

pub(crate) const RUN: &str = "\
Examples:
  resnet run pets.yaml --weights pets.safetensors --input photos/ --output scores.npy
  resnet run torchvision/resnet50 --weights resnet50.safetensors --input x.npy --output y.npy --precision bf16";

pub(crate) const PACK: &str = "\
Examples:
  resnet pack torchvision/resnet50 --weights resnet50.safetensors --output resnet50.packed
  resnet pack pets.yaml --weights pets.safetensors --output pets.packed --precision int8 --isa avx2";

pub(crate) const BENCH: &str = "\
Examples:
  resnet bench torchvision/resnet50 --threads 1 --layers
  resnet bench torchvision/resnet50 --precision bf16 --batch 8 --json
  resnet bench --compare old.json new.json --fail-above 5%";

pub(crate) const CALIBRATE: &str = "\
Examples:
  resnet calibrate pets.yaml --weights pets.safetensors --images photos/ --output pets.calibration.yaml
  resnet calibrate timm/seresnet50 --weights formula --inputs formula --output table.yaml";

pub(crate) const VERIFY: &str = "\
Examples:
  resnet verify torchvision/resnet50 --weights formula --inputs formula:2 --isa all
  resnet verify pets.yaml --weights pets.safetensors --images photos/ --precision int8 --calibration pets.calibration.yaml
  resnet verify pets.yaml --weights pets.safetensors --inputs x.npy --against y.npy --json";

#[cfg(feature = "import")]
pub(crate) const IMPORT: &str = "\
Examples:
  resnet import resnet50.pth
  resnet import model.onnx --output models/pets --dtype f16
  resnet import pets.keras --like keras/resnet50";

pub(crate) const INSPECT: &str = "\
Examples:
  resnet inspect torchvision/resnet50 --diff
  resnet inspect torchvision/resnet50 --stage algorithms
  resnet inspect pets.yaml --output report.html";

pub(crate) const CLASSIFY: &str = "\
Examples:
  resnet classify 7.png
  resnet classify photos/ --model torchvision/resnet50 --weights resnet50.safetensors --top 5
  resnet classify photos/ --model pets.yaml --weights pets.safetensors --json";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  resnet completions bash > ~/.local/share/bash-completion/completions/resnet
  resnet completions zsh > ~/.zfunc/_resnet
  resnet completions fish > ~/.config/fish/completions/resnet.fish";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command has examples, and all of them are command lines that are taken.
    #[test]
    fn examples_are_command_lines() {
        let command = crate::Arguments::command();
        let helps = command.get_subcommands().map(|command| {
            let help = command.get_after_help().map(ToString::to_string);
            help.unwrap_or_else(|| panic!("{} has no examples", command.get_name()))
        });
        for help in helps.chain([FIRST.to_owned()]) {
            let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  resnet ")).collect();
            assert!((1..=3).contains(&examples.len()), "{help}");
            for example in examples {
                let line = example.split(['#', '>']).next().unwrap_or_default();
                let result = command.clone().try_get_matches_from(line.split_whitespace());
                assert!(result.is_ok(), "{example}: {}", result.unwrap_err());
            }
        }
    }
}
