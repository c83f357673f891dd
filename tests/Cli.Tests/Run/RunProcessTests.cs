using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Run;

public sealed class RunProcessTests
{
    [Fact]
    public void Piped_input_reaches_the_guest_and_its_power_off_is_exit_code_0()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.RunWithInput("poweroff\n", "run", "--guest", "filler", "--memory", "64M");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("filler: hello");
        outcome.Output.ShouldContain("echo:poweroff\n");
        outcome.Errors.ShouldContain("the VM has ended: guest power-off");
    }

    [Theory]
    [InlineData("poweroff", 0, "the VM has ended: guest power-off")]
    [InlineData("reboot", 3, "the VM has ended: guest reset")]
    [InlineData("panic", 4, "the VM has ended: its kernel has panicked")]
    [InlineData("hang", 4, "the VM has ended: its kernel has panicked")]
    public void Each_end_has_its_message_and_its_code(string typed, int code, string says)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.RunWithInput(
            typed, "run", "--guest", "filler", "--memory", "64M", "--no-reboot", "--timeout", "30s");
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain(says);
    }

    [Theory]
    [InlineData("good", false)]
    [InlineData("no-entropy", true)]
    public void A_machine_without_random_numbers_is_told(string mode, bool isTold)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.RunWithInput("poweroff\n", "run", "--guest", "filler", "--memory", "64M");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.Contains("no source of random numbers").ShouldBe(isTold);
    }

    [Fact]
    public void A_guest_that_asks_for_a_reboot_is_started_again_and_panics_end_the_run_all_the_same()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell(
            "(echo reboot; sleep 2; echo panic) | $Q run --guest filler --memory 64M --timeout 30s; echo code=$?");
        outcome.Output.ShouldContain("code=4");
        outcome.Errors.ShouldContain("the VM reboots");
        outcome.Output.Split("filler: hello").Length.ShouldBe(3);
    }

    [Fact]
    public void A_kernel_that_panics_and_hangs_is_told_on_a_terminal_which_stays_with_it()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell(
            "(sleep 2; printf 'hang'; sleep 5; printf '\\001x'; sleep 2)"
            + " | script -qec '$Q run --guest filler --memory 64M; echo code=$?' /dev/null");
        outcome.Output.ShouldContain("the guest's kernel has panicked and hangs; Ctrl-A x ends the VM");
        outcome.Output.ShouldContain("[quietus] killed with");
        outcome.Output.ShouldContain("code=4");
    }

    [Fact]
    public void Ctrl_A_s_tells_what_runs_where()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell(
            "(sleep 3; printf '\\001s'; sleep 2; printf '\\001x'; sleep 1)"
            + " | script -qec '$Q run --guest filler --memory 64M --weight 300 --pin 1-2' /dev/null");
        outcome.Output.ShouldContain(
            "VM 1: running, 2 vCPUs, weight 300, cores 1,2; ran 3.20 s, waited 40.0 ms");
        outcome.Output.ShouldContain("cores: 0 monitor, 1 75 %, 2 5 % (since the boot)");
    }

    [Theory]
    [InlineData("--weight 9", "'9' is no weight", "--weight takes 10 to 1000")]
    [InlineData("--pin 1;2", "'1;2' is no list of cores", "1,3 or 1-3")]
    [InlineData("--pin 2-1", "'2-1' is no list of cores", "1,3 or 1-3")]
    [InlineData("--pin 0-3", "--pin 0-3 names a core that the machine does not have",
        "with 2 vCPUs --pin takes cores 0 to 2")]
    [InlineData("--pin 1,3 --cpus 1", "--pin 1,3 names a core", "with 1 vCPU --pin takes cores 0 to 1")]
    public void A_share_that_cannot_be_is_exit_code_2(string options, string says, string next)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(["run", "--guest", "filler", "--memory", "64M", .. options.Split(' ')]);
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldContain(next);
    }

    [Fact]
    public void Input_from_a_file_is_read_once()
    {
        using var cli = new Cli();
        cli.WriteFile("input", "one line\npoweroff\n"u8.ToArray());
        Cli.Outcome outcome = cli.Shell("$Q run --guest filler --memory 64M <input");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.Split("one line").Length.ShouldBe(2);
    }

    [Fact]
    public void The_end_of_the_input_does_not_end_the_VM_and_the_time_limit_is_124()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("run", "--guest", "filler", "--memory", "64M", "--timeout", "2");
        outcome.Code.ShouldBe(124);
        outcome.Errors.ShouldContain("still running after 2 s");
    }

    [Theory]
    [InlineData("guest-faults", "the VM was stopped: stage 2 abort outside every slot")]
    [InlineData("panics", "the hypervisor has panicked")]
    [InlineData("dies-midway", "QEMU ended unexpectedly")]
    public void A_VM_that_ends_badly_is_exit_code_1(string mode, string says)
    {
        using var cli = new Cli(mode);
        Cli.Outcome outcome = cli.Run("run", "--guest", "filler", "--memory", "64M");
        outcome.Code.ShouldBe(1);
        outcome.Errors.ShouldContain(says);
    }

    [Fact]
    public void A_page_size_that_the_CPU_lacks_is_exit_code_77_and_says_what_to_try()
    {
        using var cli = new Cli("no-granule");
        Cli.Outcome outcome = cli.Run("run", "--guest", "filler", "--memory", "64M");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("the kernel is built for a page size that is not there");
        outcome.Errors.ShouldContain("max has every page size");
    }

    [Fact]
    public void Ctrl_C_on_a_pipe_is_130()
    {
        using var cli = new Cli("hangs-midway");
        using Process process = cli.Start("run", "--guest", "filler", "--memory", "64M");
        cli.WaitForMachines();
        Cli.Signal(process, Cli.Interrupt);
        Cli.Finish(process).Code.ShouldBe(130);
    }

    [Fact]
    public void On_a_terminal_Ctrl_A_x_ends_the_VM_and_the_terminal_is_as_it_was()
    {
        using var cli = new Cli();
        File.WriteAllText(
            cli.PathOf("session.sh"),
            "stty -g >before\n$Q run --guest filler --memory 64M\necho \"code=$?\"\nstty -g >after\n");
        Cli.Outcome outcome = cli.Shell(
            "(sleep 2; printf 'ab\\003c\\001h'; sleep 0.5; printf '\\001\\001\\001x'; sleep 2)"
            + " | script -qec 'sh session.sh' /dev/null");
        outcome.Output.ShouldContain("echo:ab\u0003c");
        outcome.Output.ShouldContain("Ctrl-A x ends the VM");
        outcome.Output.ShouldContain("[quietus] killed with");
        outcome.Output.ShouldContain("code=0");
        outcome.Output.ShouldNotContain('\e');
        File.ReadAllText(cli.PathOf("after")).ShouldBe(File.ReadAllText(cli.PathOf("before")));
    }

    [Fact]
    public void A_terminal_is_restored_when_the_machine_dies()
    {
        using var cli = new Cli("dies-midway");
        File.WriteAllText(
            cli.PathOf("session.sh"),
            "stty -g >before\n$Q run --guest filler --memory 64M\necho \"code=$?\"\nstty -g >after\n");
        Cli.Outcome outcome = cli.Shell("(sleep 3) | script -qec 'sh session.sh' /dev/null");
        outcome.Output.ShouldContain("code=1");
        File.ReadAllText(cli.PathOf("after")).ShouldBe(File.ReadAllText(cli.PathOf("before")));
    }

    [Fact]
    public void A_kernel_of_one_s_own_is_checked_packed_and_given_to_the_machine()
    {
        using var cli = new Cli();
        string kernel = cli.WriteFile("Image", Guests.KernelImageTests.MakeImage());
        string initrd = cli.WriteFile("initrd", Guests.CpioWriterTests.MakeArchive(("init", [1, 2, 3])));
        Cli.Outcome outcome = cli.RunWithInput(
            "poweroff\n", "run", "--kernel", kernel, "--initrd", initrd, "--memory", "128M", "--cpus", "3");
        outcome.Code.ShouldBe(0, outcome.Errors);
        string arguments = cli.MachineArguments().ShouldHaveSingleItem();
        arguments.ShouldContain("-smp 4");
        arguments.ShouldContain("guests.cpio");
        arguments.ShouldNotContain("-icount");
    }

    [Fact]
    public void A_kernel_that_does_not_fit_into_the_VM_is_refused()
    {
        using var cli = new Cli();
        string kernel = cli.WriteFile("Image", Guests.KernelImageTests.MakeImage(imageSize: 60L << 20));
        Cli.Outcome outcome = cli.Run("run", "--kernel", kernel, "--memory", "64M");
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("too little for this linux guest");
        outcome.Errors.ShouldContain("at least --memory 76M");
    }

    [Fact]
    public void Each_line_of_a_script_gets_a_fresh_child_of_the_template()
    {
        using var cli = new Cli("shell");
        string kernel = cli.WriteFile("Image", Guests.KernelImageTests.MakeImage());
        Cli.Outcome outcome = cli.With("FAKE_QEMU_ORDERS", cli.PathOf("orders")).RunWithInput(
            "uname\nls", "run", "--from-template", "--kernel", kernel, "--memory", "128M");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldEndWith("/ # vm=2:uname\n/ # vm=3:ls\n/ # ");
        outcome.Errors.ShouldContain("child 2: born after ");
        string[] orders = File.ReadAllLines(cli.PathOf("orders"));
        orders[^5..].ShouldBe(["start vm=1", "freeze vm=1", "fork vm=1", "fork vm=1", "off"]);
        orders.ShouldContain(
            order => order.StartsWith("create guest=linux memory=134217728 ", StringComparison.Ordinal));

        // A child may come to own as much as its template has.
        cli.MachineArguments().ShouldHaveSingleItem().ShouldContain("-m 449 ");
    }

    [Theory]
    [InlineData("poweroff\n", 0, "the VM has ended: guest power-off")]
    [InlineData("reboot\n", 0, "child 1: it asked for a reboot, and has ended")]
    [InlineData("panic\nls\n", 4, "the VM has ended: its kernel has panicked")]
    public void A_child_ends_as_any_VM_and_a_script_ends_at_the_first_bad_end(string typed, int code, string says)
    {
        using var cli = new Cli("shell");
        string kernel = cli.WriteFile("Image", Guests.KernelImageTests.MakeImage());
        Cli.Outcome outcome = cli.RunWithInput(
            typed, "run", "--from-template", "--kernel", kernel, "--memory", "128M", "--timeout", "30s");
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldNotContain("child 2");
    }

    [Fact]
    public void On_a_terminal_Enter_gives_a_child_Ctrl_A_k_kills_it_and_Ctrl_D_ends()
    {
        using var cli = new Cli("shell");
        cli.WriteFile("Image", Guests.KernelImageTests.MakeImage());
        Cli.Outcome outcome = cli.Shell(
            "(sleep 2; printf '\\r'; sleep 1; printf 'hello\\r'; sleep 1;"
            + " printf '\\001k'; sleep 1; printf 'lost\\r'; sleep 1;"
            + " printf 'poweroff\\r'; sleep 1; printf '\\004'; sleep 1)"
            + " | script -qec '$Q run --from-template --kernel Image --memory 128M; echo code=$?' /dev/null");
        outcome.Output.ShouldContain("code=0");
        outcome.Output.ShouldContain("vm=2:hello");
        outcome.Output.ShouldContain("[quietus] killed with");
        outcome.Output.ShouldContain("child 2: born after ");
        outcome.Output.ShouldNotContain("lost");
        outcome.Output.ShouldContain("the VM has ended: guest power-off");
    }

    [Fact]
    public void Without_a_shell_there_is_no_template_and_what_refuses_a_child_is_told()
    {
        using var cli = new Cli("guest-faults");
        string kernel = cli.WriteFile("Image", Guests.KernelImageTests.MakeImage());
        Cli.Outcome outcome = cli.Run("run", "--from-template", "--kernel", kernel, "--memory", "128M");
        outcome.Code.ShouldBe(1);
        outcome.Errors.ShouldContain("the VM was stopped: stage 2 abort");

        using var small = new Cli();
        outcome = small.Run("run", "--from-template");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("there is no Linux guest in");
    }

    [Fact]
    public void Doctor_says_whether_bench_can_run()
    {
        using var cli = new Cli();
        Cli.Outcome good = cli.Run("doctor");
        good.Code.ShouldBe(0, good.Output);
        good.Output.ShouldContain("This host can run ./quietus bench.");
        Cli.Outcome json = cli.Run("doctor", "--json");
        json.Code.ShouldBe(0);
        System.Text.Json.JsonDocument.Parse(json.Output).RootElement.GetProperty("schema").GetString()
            .ShouldBe("quietus.doctor/1");
        Cli.Outcome bad = cli.With("QUIETUS_QEMU", "/nowhere/qemu").Run("doctor");
        bad.Code.ShouldBe(77);
        bad.Output.ShouldContain("MISSING  QEMU");
        bad.Output.ShouldContain("qemu-system-arm");
        string[] narrow = cli.With("COLUMNS", "40").Run("doctor").Output.Split('\n');
        narrow.Where(line => line.Length > 40 && line.Trim().Contains(' ') && !line.Contains("apt-get"))
            .ShouldBeEmpty();
        cli.Machines().ShouldBeEmpty();
    }
}
