using System.IO;
using System.Text;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Jobs;
using Quietus.Cli.Processes;
using Quietus.Wire;
using Xunit;

namespace Quietus.Image.Tests.Machines;

/// <summary>The bundled Linux as the agent's: programs of ours run in it.</summary>
internal static class AgentGuest
{
    internal const long Memory = 96 * ByteSize.Megabyte;

    /// <summary>Boots a machine with the cached Linux; skips the test where there is none.</summary>
    /// <param name="cpu">A model's name.</param>
    /// <param name="counts">Whether time is a count of instructions.</param>
    /// <param name="network">The backend of the machine's network device, or null for no such device.</param>
    internal static Task<TestMachine> BootAsync(string cpu = "max", bool counts = false, string? network = null)
    {
        Assert.SkipWhen(
            LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}: ./quietus fetches one");
        return TestMachine.BootAsync(
            cpu, cores: 4, memory: 512 * ByteSize.Megabyte, counts, GuestPayload.MakeLinux(null, null), network);
    }

    /// <summary>A VM whose agent listens.</summary>
    /// <param name="machine">Where.</param>
    /// <param name="devices">What else <c>create</c> is told.</param>
    internal static async Task<TestVm> ServeAsync(TestMachine machine, string devices = "")
    {
        TestVm vm = await machine.AdoptAsync(
            $"create guest=linux memory={Memory} cpus=1 pages=4k policy=fate vsock=on {devices} "
            + "append=\"console=ttyAMA0 quiet quietus.then=agent\"").ConfigureAwait(false);
        await vm.StartAsync().ConfigureAwait(false);
        await vm.PrintedAsync("agent: listening").ConfigureAwait(false);
        return vm;
    }

    /// <summary>The same, frozen.</summary>
    internal static async Task<TestVm> MakeTemplateAsync(TestMachine machine, string devices = "")
    {
        TestVm template = await ServeAsync(machine, devices).ConfigureAwait(false);
        await using (JobClient client = await ConnectAsync(machine, template))
        {
            await client.FreezeAsync(TestMachine.Cancellation).ConfigureAwait(false);
        }

        await template.FrozenAsync().ConfigureAwait(false);
        return template;
    }

    internal static Task<JobClient> ConnectAsync(TestMachine machine, TestVm vm) =>
        JobClient.OpenAsync(machine.Monitor.Streams, vm.Slot, vm.Number, TestMachine.Cancellation);

    /// <summary>Runs a command in a VM, by a connection of its own.</summary>
    internal static async Task<(JobExit Exit, string Output, string Error)> RunAsync(
        TestMachine machine, TestVm vm, string command)
    {
        await using JobClient client = await ConnectAsync(machine, vm);
        return await RunAsync(client, command).ConfigureAwait(false);
    }

    internal static Task<(JobExit Exit, string Output, string Error)> RunAsync(
        JobClient client, string command, string input = "") =>
        RunAsync(client, new JobOrder { Arguments = ["/bin/sh", "-c", command] }, input);

    internal static async Task<(JobExit Exit, string Output, string Error)> RunAsync(
        JobClient client, JobOrder order, string input = "")
    {
        var told = new MemoryStream();
        var error = new MemoryStream();
        JobExit exit = await client.RunAsync(
            order, new MemoryStream(Encoding.UTF8.GetBytes(input)), told, error, null, TestMachine.Cancellation)
            .ConfigureAwait(false);
        return (exit, Encoding.UTF8.GetString(told.ToArray()), Encoding.UTF8.GetString(error.ToArray()));
    }
}
