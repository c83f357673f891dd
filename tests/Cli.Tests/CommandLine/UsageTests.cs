using System;
using System.IO;
using System.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.CommandLine;

public sealed class UsageTests
{
    [Theory]
    [InlineData("", "no command given", "--help")]
    [InlineData("explode", "unknown command 'explode'", "--help")]
    [InlineData("bensh", "unknown command 'bensh'", "did you mean bench?")]
    [InlineData("bench --bogus", "bench takes no '--bogus'", "bench --help")]
    [InlineData("bench --memroy 64M", "bench takes no '--memroy'", "did you mean --memory?")]
    [InlineData("bench --guest filler --json b --report b", "--json and --report both write to 'b'", "of its own")]
    [InlineData("bench --guest filler --json - --csv /dev/stdout", "--json and --csv both write", "of its own")]
    [InlineData("bench --guest filler --json /tmp", "--json: '/tmp' is a folder", "a file")]
    [InlineData("run --guest filler --kernel=", "argument missing for option: '--kernel'", "run --help")]
    [InlineData("run --kernel /tmp", "the kernel cannot be read: '/tmp' is a folder", "--kernel")]
    [InlineData("sim --sweep memory=1G..2G --memory 4G", "--memory means nothing beside --sweep", "leave one")]
    [InlineData("sim --calibration --memory 1G", "--memory means nothing with --calibration", "no other")]
    [InlineData("sim --ablate --policies fate", "--policies means nothing with --ablate", "every policy")]
    [InlineData("sim --machine quietus.img/x.json", "quietus.img/x.json", "")]
    [InlineData("replay /tmp", "'/tmp' cannot be read: '/tmp' is a folder", "a trace")]
    [InlineData("replay --list quietus.img --pid 3", "--pid means nothing with --list", "replays none")]
    [InlineData("man nothing", "there is no verb 'nothing'", "bench")]
    [InlineData("completion csh", "no completion for 'csh'", "bash, zsh or fish")]
    [InlineData("bench --policies series,quick", "unknown policy 'quick'", "before-series, patch5, patch6, patch7")]
    [InlineData("bench --policies ,", "--policies has an empty value", "commas")]
    [InlineData("bench --memory much", "'much' is no memory size", "64M")]
    [InlineData("bench --memory 3T", "cannot have 3T", "512G")]
    [InlineData("bench --memory 33M", "cannot have 33M", "2M")]
    [InlineData("bench --memory 99999999999999999999G", "no memory size", "64M")]
    [InlineData("bench --memory -64M", "-64M", "")]
    [InlineData("bench --pages 8k", "unknown page size '8k'", "4k, 2m, auto")]
    [InlineData("bench --cpu pentium", "unknown CPU 'pentium'", "cortex-a72, neoverse-n1, max")]
    [InlineData("bench --cpus 0", "'0' is no number of vCPUs", "1 to 8")]
    [InlineData("bench --guest windows", "unknown guest 'windows'", "linux or filler")]
    [InlineData("bench --guest filler --jobs 0", "'0' is no number of jobs", "1 to 64")]
    [InlineData("bench --guest filler --fate lost", "unknown fate 'lost'", "freed, unknown")]
    [InlineData("bench --births 5 --policies fate", "--policies means nothing with --births", "--guest")]
    [InlineData("bench --births many --guest filler", "'many' is no number of children", "1 to 10000")]
    [InlineData("bench --births --against xen", "unknown peer 'xen'", "kvm")]
    [InlineData("bench --births --against kvm --pages 2m", "--pages means nothing with --births --against", "4K")]
    [InlineData("bench --births --against kvm --guest linux", "--guest means nothing with --births", "4K pages")]
    [InlineData("bench --births --against kvm --memory 4G", "no room for a snapshot of 4 GB", "--memory 3G")]
    [InlineData("bench --births --guest filler --report /nowhere/r.html", "--report: '/nowhere/r.html' ca", "another")]
    [InlineData("run --from-template --guest filler", "the filler has none", "bench --births")]
    [InlineData("run --from-template --policy series", "with the policy series cannot become a template", "fate")]
    [InlineData("run --from-template --no-reboot", "--no-reboot means nothing with --from-template", "fresh")]
    [InlineData("bench --many few", "'few' is no number of VMs", "1 to 4000")]
    [InlineData("bench --many --memory 64M", "--memory means nothing with --many", "--guest, --cpu")]
    [InlineData("bench --many --guest filler,linux", "one template have one guest", "--guest takes one name")]
    [InlineData("bench --births 0", "'0' is no number of children", "1 to 10000")]
    [InlineData("bench --births 5 --guest filler --memory 32M", "too little to measure writes in", "--memory 64M")]
    [InlineData("bench --births 5 --churn 5", "--births means nothing with --churn", "--lifetime")]
    [InlineData("bench --churn 5 --fate unknown", "--fate means nothing with --churn", "--lifetime")]
    [InlineData("bench --guest filler --timeout soon", "'soon' is no time limit", "seconds")]
    [InlineData("bench --guest filler --json /nowhere/b.json", "--json: '/nowhere/b.json' cannot be", "another")]
    [InlineData("bench --guest filler --report /nowhere/r.html", "--report: '/nowhere/r.html' cannot be", "another")]
    [InlineData("bench --guest filler --color mauve", "unknown colour 'mauve'", "always")]
    [InlineData("bench --against kvm --memory 256M --pages 4k,2m", "no huge pages for a VM of 256 MB", "512M on")]
    [InlineData("run --guest filler --memory 1K", "cannot have 1K", "32M")]
    [InlineData("run --guest filler --policy all", "one policy", "--policy")]
    [InlineData("run --guest filler --kernel x", "--guest filler takes no --kernel", "leave")]
    [InlineData("run --guest filler --disk x", "--guest filler takes no --kernel", "leave")]
    [InlineData("run --disk /no/such/disk", "the disk cannot be read", "--disk")]
    [InlineData("run --disk /tmp", "the disk cannot be read: '/tmp' is a folder", "--disk")]
    [InlineData("run --disk /dev/null", "the disk /dev/null is empty", "--disk")]
    [InlineData("run --kernel /no/such/Image", "the kernel cannot be read", "--kernel")]
    [InlineData("sim --machine pdp11", "there is no machine 'pdp11'", "d05, emag")]
    [InlineData("sim --set speed=1", "there is no figure 'speed'", "dc_line_local")]
    [InlineData("sim --set tlbi_wait=long", "'long' is no value for tlbi_wait", "ns")]
    [InlineData("sim --set sockets=3", "PEs do not divide into 3 sockets", "")]
    [InlineData("sim --pages 8k", "unknown page size '8k'", "4k, 2m, 1g, thp")]
    [InlineData("sim --die bravely", "unknown way to die 'bravely'", "exit, kill, munmap, slot, madvise, mremap")]
    [InlineData("sim --policy none", "unknown policy 'none'", "before-series")]
    [InlineData("sim --memory 3T", "cannot have 3T", "512G")]
    [InlineData("sim --sweep pages=1..2", "'pages=1..2' is no sweep", "memory=1G..512G")]
    [InlineData("sim --sweep memory=2G..1G", "goes backwards", "smaller")]
    [InlineData("sim --vcpus 0", "'0' is no number of vCPUs", "1 to 64")]
    [InlineData("sim --seed -1", "-1", "")]
    [InlineData("sim --memory 512G --machine rpi4", "rpi4 has 8 GB, of which the host keeps some", "--memory")]
    [InlineData("sim --report /nowhere/r.html", "--report: '/nowhere/r.html' cannot be", "another")]
    [InlineData("sim --check --ablate", "--ablate means nothing with --check", "leave one")]
    [InlineData("sim --check --json x", "--json means nothing with --check", "leave one")]
    [InlineData("sim --check --report x", "--report means nothing with --check", "leave one")]
    [InlineData("sim --check --memory 2G", "--check judges VMs of up to 1 GB, not of 2 GB", "--memory")]
    [InlineData("sim --check --vcpus 32", "--check judges up to 31 vCPUs", "--vcpus")]
    [InlineData("replay", "no trace given", "replay --help")]
    [InlineData("replay /no/such/trace", "'/no/such/trace' cannot be read", "file")]
    [InlineData("replay quietus.img", "line 1: this is no trace of ftrace, trace-cmd or perf", "--record-script")]
    [InlineData("replay quietus.img --cause war", "unknown cause 'war'", "munmap, madvise, mremap, mprotect")]
    [InlineData("replay quietus.img --json /nowhere/b.json", "--json: '/nowhere/b.json' cannot be", "another")]
    [InlineData("check --policies fast", "unknown policy 'fast'", "before-series, patch5")]
    [InlineData("check --seed zero", "'zero' is no seed", "1 to")]
    [InlineData("check --steps 0", "'0' is no number of steps", "1 to")]
    [InlineData("check --jobs 1000", "'1000' is no number of jobs", "1 to 256")]
    [InlineData("doctor --verbose", "--verbose", "doctor --help")]
    public void Bad_arguments_are_one_clear_error_and_exit_code_2(string arguments, string says, string next)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Output.ShouldBeEmpty();
        outcome.Errors.ShouldStartWith("quietus: ");
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldContain("  next: ");
        outcome.Errors.ShouldContain(next);
        outcome.Errors.ShouldNotContain("   at ");
        cli.Machines().ShouldBeEmpty();
    }

    [Fact]
    public void Memory_that_does_not_fit_the_host_is_refused_before_a_machine_starts()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.With("QUIETUS_HOST_MEMORY_BYTES", "600000000")
            .Run("bench", "--guest", "filler", "--memory", "1G");
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("the host has 572 MB to spare");
        cli.Machines().ShouldBeEmpty();
    }

    [Fact]
    public void Two_jobs_need_the_memory_of_two_machines()
    {
        using var cli = new Cli();
        cli.With("QUIETUS_HOST_MEMORY_BYTES", "1000000000");
        cli.Run("bench", "--guest", "filler", "--policies", "fate", "--jobs", "2").Code.ShouldBe(2);
        cli.Run("bench", "--guest", "filler", "--policies", "fate", "--jobs", "1").Code.ShouldBe(0);
    }

    [Fact]
    public void A_host_without_QEMU_is_told_which_package_has_it()
    {
        using var cli = new Cli();
        string empty = Directory.CreateDirectory(cli.PathOf("bin")).FullName;
        string dotnet = Environment.ProcessPath!;
        File.CreateSymbolicLink(
            Path.Combine(empty, "dotnet"), Path.GetFileName(dotnet) == "dotnet" ? dotnet : "/usr/bin/dotnet");
        Cli.Outcome outcome = cli.With("QUIETUS_QEMU", null).With("PATH", empty).Run("bench", "--guest", "filler");
        outcome.Code.ShouldBe(77, outcome.Errors);
        outcome.Errors.ShouldContain("qemu-system-aarch64 is not installed");
        outcome.Errors.ShouldContain("apt-get install qemu-system-arm");
    }

    [Theory]
    [InlineData("old", "QEMU 5.2.0 is too old; 7.1 is needed")]
    [InlineData("stranger", "does not answer like QEMU: 'GNU bash")]
    public void A_QEMU_that_cannot_serve_is_refused(string mode, string says)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.Run("bench", "--guest", "filler");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain(says);
    }

    [Fact]
    public void A_missing_image_is_named()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.With("QUIETUS_IMAGE", "/nowhere/quietus.img").Run("run", "--guest", "filler");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("image /nowhere/quietus.img has not been built");
    }

    [Fact]
    public void A_Linux_guest_that_was_never_fetched_is_not_supported_when_asked_for()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("bench", "--guest", "linux");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("no Linux guest in " + cli.Cache);
    }

    [Fact]
    public void A_cache_that_cannot_be_written_is_named()
    {
        using var cli = new Cli();
        string file = cli.WriteFile("occupied", [1]);
        Cli.Outcome outcome = cli.With("QUIETUS_CACHE", file).Run("bench", "--guest", "filler");
        outcome.Code.ShouldBe(1);
        outcome.Errors.ShouldContain("cache folder");
        outcome.Errors.ShouldContain("QUIETUS_CACHE");
    }

    [Theory]
    [InlineData("")]
    [InlineData("run")]
    [InlineData("bench")]
    [InlineData("sim")]
    [InlineData("replay")]
    [InlineData("check")]
    [InlineData("doctor")]
    public void Help_ends_with_an_example(string verb)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run([.. verb.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);
        outcome.Code.ShouldBe(0);
        outcome.Output.ShouldContain("Example:\n  ./quietus " + verb);
        outcome.Errors.ShouldBeEmpty();
    }

    [Fact]
    public void The_example_of_bench_works_as_it_stands()
    {
        using var cli = new Cli();
        string help = cli.Run("bench", "--help").Output;
        string example = help[help.IndexOf("./quietus ", StringComparison.Ordinal)..].Trim();
        Cli.Outcome outcome = cli.Run(example.Split(' ')[1..]);
        outcome.Code.ShouldBe(0, outcome.Errors);
        File.Exists(cli.PathOf("bench.json")).ShouldBeTrue();
    }

    [Fact]
    public void Help_is_a_verb_as_well_and_fits_100_columns_when_piped()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("help", "bench");
        outcome.Output.ShouldBe(cli.Run("bench", "--help").Output);
        outcome.Output.Split('\n').Max(line => line.Length).ShouldBeInRange(80, 100);
    }

    /// <summary>An example is folded as a shell takes it; what cannot be is a single word.</summary>
    [Theory]
    [InlineData("bench")]
    [InlineData("sim")]
    [InlineData("replay")]
    [InlineData("campaign")]
    public void Help_fits_40_columns(string verb)
    {
        using var cli = new Cli();
        string help = cli.With("COLUMNS", "40").Run(verb, "--help").Output;
        help.Split('\n').Where(line => line.Trim().Contains(' ', StringComparison.Ordinal))
            .ShouldAllBe(line => line.Length <= 40);
        string example = help[help.IndexOf("Example:", StringComparison.Ordinal)..].Split('\n', 2)[1];
        string[] words = example.Replace("\\\n", string.Empty, StringComparison.Ordinal)
            .Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        words[..2].ShouldBe(["./quietus", verb]);
        words.ShouldAllBe(word => !word.Contains('\\', StringComparison.Ordinal));
    }

    [Fact]
    public void An_empty_value_is_no_value()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("run", "--kernel", string.Empty);
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("--kernel has an empty value");
    }

    [Fact]
    public void A_command_line_can_be_checked_without_what_it_needs()
    {
        using var cli = new Cli();
        cli.With("QUIETUS_QEMU", null).With("QUIETUS_IMAGE", "/nowhere/quietus.img");
        cli.Run("[validate]", "bench", "--guest", "linux").Code.ShouldBe(0);
        cli.Run("[validate]", "bench", "--memory", "much").Code.ShouldBe(2);
        cli.Run("[validate]", "bench", "--births", "--guest", "filler").Code.ShouldBe(0);
        cli.Run("[validate]", "bench", "--guest", "filler", "--births").Code.ShouldBe(0);
        cli.Run("[validate]", "bench", "--churn", "5", "--fate", "unknown").Code.ShouldBe(2);
        cli.Run("[validate]", "run", "--guest", "filler").Code.ShouldBe(0);
        cli.Machines().ShouldBeEmpty();
    }

    [Fact]
    public void Completions_and_manuals_name_every_option()
    {
        using var cli = new Cli();
        string manual = cli.Run("man", "bench").Output.Replace("\\", string.Empty, StringComparison.Ordinal);
        foreach (string shell in (string[])["bash", "zsh", "fish"])
        {
            string script = cli.Run("completion", shell).Output;
            foreach (string option in (string[])["--policies", "--lifetime", "--markdown", "--quiet", "--help"])
            {
                manual.ShouldContain(option);
                script.ShouldContain(shell == "fish" ? "-l " + option[2..] : option, Case.Sensitive, shell);
            }
        }

        cli.Shell("$Q completion bash >c && bash -c '. ./c; COMP_WORDS=(quietus bench --li); COMP_CWORD=2; _quietus; "
            + "echo ${COMPREPLY[@]}'").Output.ShouldBe("--lifetime\n");
    }

    [Fact]
    public void The_version_is_the_build_s()
    {
        using var cli = new Cli();
        cli.Run("--version").Output.Trim().ShouldBe("0.1.0");
    }
}
