using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Births;

/// <summary>Measures births: a machine for each guest and size. Ctrl-C keeps the rows that are complete.</summary>
internal sealed class BirthsRunner(BirthsPlan plan, QemuBinary qemu, string image, Action<string> progress)
{
    /// <summary>RAM of a machine beside its template's memory: for children, tables, kernel, the hypervisor.</summary>
    public const long BesideMemory = 256 * ByteSize.Megabyte;

    /// <summary>The filler leaves the lower half alone, and writes are measured in some regions of the rest.</summary>
    public const long LeastMemory = 64 * ByteSize.Megabyte;

    // The filler's reports (docs/filler.md).
    private const ulong BornReport = 7;
    private const ulong ReadReport = 8;
    private const ulong GigabyteReport = 9;
    private const ulong RegionReport = 10;
    private const ulong WriteReport = 11;

    private const long FillerReserve = 32 * ByteSize.Megabyte;
    private const string Prompt = "# ";
    private const string Answer = "born-42";

    private static readonly TimeSpan _bootLimit = TimeSpan.FromSeconds(30);

    private readonly List<BirthsRow> _rows = [];
    private BirthsBoot _boot = null!;
    private string _command = string.Empty;

    /// <summary>How much of its memory a filler writes before its freeze.</summary>
    public static long FillBytes(long memory) =>
        Math.Max(memory - FillerReserve, memory / 2) / (2 * ByteSize.Megabyte) * (2 * ByteSize.Megabyte);

    public async Task<BirthsResult> RunAsync(CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        string sha256 = FileHash.Sha256(image);
        bool isInterrupted = false;
        try
        {
            foreach (GuestPayload guest in plan.Guests)
            {
                foreach (long memory in plan.MemoryBytes)
                {
                    await BootAsync(guest, memory, cancellation).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            isInterrupted = true;
        }

        return new BirthsResult
        {
            Plan = plan,
            Rows = _rows,
            IsInterrupted = isInterrupted,
            QemuCommand = _command,
            QemuVersion = qemu.Version,
            ImageSha256 = sha256,
            WallNanoseconds = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds,
        };
    }

    private async Task BootAsync(GuestPayload guest, long memory, CancellationToken cancellation)
    {
        using var folder = new RunFolder();
        var machine = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = 1 + plan.Cpus,
            MemoryBytes = plan.MachineBytes(memory),
            Image = image,
            Bundle = guest.Pack(folder.Path),
            CountsInstructions = true,
        };
        if (_command.Length == 0)
        {
            _command = machine.CommandLine(QemuBinary.Name);
        }

        QemuSession session = await QemuSession.StartAsync(qemu, machine, folder, _bootLimit, cancellation)
            .ConfigureAwait(false);
        await using (session.ConfigureAwait(false))
        {
            _boot = new BirthsBoot(session.Monitor, plan.Limit, cancellation);
            await _boot.AskAsync("scrub when=asked").ConfigureAwait(false);
            foreach (string pages in plan.Pages)
            {
                string what = $"{guest.Name} {ByteSize.FormatOption(memory)} {pages}";
                progress($"[{_rows.Count + 1}/{plan.Guests.Count * plan.MemoryBytes.Count * plan.Pages.Count}] {what}");
                try
                {
                    _rows.Add(guest.Name == GuestPayload.Filler
                        ? await FillerAsync(memory, pages).ConfigureAwait(false)
                        : await LinuxAsync(memory, pages).ConfigureAwait(false));
                }
                catch (MonitorException error)
                {
                    throw new CliException(
                        ExitCode.Failed, $"{what}: the hypervisor refused: {Printable.Line(error.Message)}");
                }
                catch (CliException error)
                {
                    throw new CliException(error.ExitCode, $"{what}: {error.Message}", error.NextStep, error.Details);
                }
            }
        }
    }

    /// <summary>Three templates: their children do nothing; read all; and measure writes.</summary>
    private async Task<BirthsRow> FillerAsync(long memory, string pages)
    {
        string append = string.Create(
            CultureInfo.InvariantCulture, $"fill={FillBytes(memory)} touch=page freeze=yes");
        (long idle, _) = await FillerTemplateAsync(memory, pages, append).ConfigureAwait(false);
        long child = (await _boot.ForkAsync(idle).ConfigureAwait(false)).Vm;
        await _boot.ReportAsync(child, BornReport).ConfigureAwait(false);
        KeyValueLine before = await _boot.OrderAsync("measure", child).ConfigureAwait(false);
        await EndAsync(child, idle).ConfigureAwait(false);

        (long reader, _) = await FillerTemplateAsync(memory, pages, append + " shared=read").ConfigureAwait(false);
        child = (await _boot.ForkAsync(reader).ConfigureAwait(false)).Vm;
        await _boot.ReportAsync(child, ReadReport).ConfigureAwait(false);
        KeyValueLine after = await _boot.OrderAsync("measure", child).ConfigureAwait(false);
        await EndAsync(child, reader).ConfigureAwait(false);

        (long template, KeyValueLine frozen) = await FillerTemplateAsync(memory, pages, append + " shared=measure")
            .ConfigureAwait(false);
        var births = new List<long>();
        var resets = new List<long>();
        var kills = new List<long>();
        double gigabyte = 0;
        double region = 0;
        double write = 0;
        for (int i = 0; i < plan.Children; i++)
        {
            (child, int slot) = await _boot.ForkAsync(template).ConfigureAwait(false);
            gigabyte = await _boot.ReportAsync(child, GigabyteReport).ConfigureAwait(false) / 1000.0;
            region = await _boot.ReportAsync(child, RegionReport).ConfigureAwait(false) / 1000.0;
            write = await _boot.ReportAsync(child, WriteReport).ConfigureAwait(false) / 1000.0;
            births.Add(await BirthOf(child).ConfigureAwait(false));

            // Once it has said all: what it prints the monitor's core would have to send within the next order.
            await _boot.SilentAsync(child, slot, "done").ConfigureAwait(false);
            resets.Add(await CostAsync("reset", child).ConfigureAwait(false));
            await _boot.ReportAsync(child, WriteReport).ConfigureAwait(false);
            await _boot.SilentAsync(child, slot, "done").ConfigureAwait(false);
            kills.Add(await CostAsync(DeathWay.Kill.Name(), child).ConfigureAwait(false));
        }

        await _boot.OrderAsync(DeathWay.Kill.Name(), template).ConfigureAwait(false);
        return new BirthsRow
        {
            Template = GuestPayload.Filler,
            MemoryBytes = memory,
            Pages = pages,
            Cpus = plan.Cpus,
            MappedPages = Mapped(frozen),
            Freeze = frozen.Number(DeathFields.Instructions),
            Birth = Median(births),
            Reset = Median(resets),
            Kill = Median(kills),
            ReadFaults = after.Number("fault_exits") - before.Number("fault_exits"),
            WriteFault = write,
            WriteFaultFirst = region,
            WriteFaultGigabyte = gigabyte,
            OwnedAfterBirth = before.Number("owned_bytes"),
            OwnedAfterCommand = null,
            Ready = null,
            Boot = null,
        };
    }

    /// <summary>Gives an order, and answers what it cost, in instructions.</summary>
    private async Task<long> CostAsync(string order, long vm) =>
        (await _boot.OrderAsync(order, vm).ConfigureAwait(false)).Number(DeathFields.Instructions);

    private async Task<BirthsRow> LinuxAsync(long memory, string pages)
    {
        (long template, int slot) = await _boot.StartAsync(
            Order(GuestPayload.Linux, memory, pages, "console=ttyAMA0 quiet nokaslr")).ConfigureAwait(false);
        await _boot.PrintedAsync(template, slot, "quietus-guest: shell ready", Prompt).ConfigureAwait(false);
        long boot = (await _boot.OrderAsync("measure", template).ConfigureAwait(false))
            .Number("last_output_virtual_ns");
        KeyValueLine frozen = await _boot.OrderAsync("freeze", template).ConfigureAwait(false);
        var births = new List<long>();
        var resets = new List<long>();
        var kills = new List<long>();
        var ready = new List<long>();
        long owned = 0;
        long ownedAfter = 0;
        for (int i = 0; i < plan.Children; i++)
        {
            (long child, int place) = await _boot.ForkAsync(template).ConfigureAwait(false);
            KeyValueLine life = await _boot.OrderAsync("measure", child).ConfigureAwait(false);
            owned = life.Number("owned_bytes");
            births.Add(life.Number(DeathFields.FirstEntryNanoseconds));
            resets.Add(await CostAsync("reset", child).ConfigureAwait(false));
            await _boot.OrderAsync(DeathWay.Kill.Name(), child).ConfigureAwait(false);

            (child, place) = await _boot.ForkAsync(template, "echo born-$((6*7)); ls -l /bin >/tmp/list")
                .ConfigureAwait(false);
            await _boot.PrintedAsync(child, place, Answer, Prompt).ConfigureAwait(false);
            life = await _boot.OrderAsync("measure", child).ConfigureAwait(false);
            ready.Add(life.Number("last_output_virtual_ns"));
            ownedAfter = life.Number("owned_bytes");
            kills.Add(await CostAsync(DeathWay.Kill.Name(), child).ConfigureAwait(false));
        }

        await _boot.OrderAsync(DeathWay.Kill.Name(), template).ConfigureAwait(false);
        return new BirthsRow
        {
            Template = GuestPayload.Linux,
            MemoryBytes = memory,
            Pages = pages,
            Cpus = plan.Cpus,
            MappedPages = Mapped(frozen),
            Freeze = frozen.Number(DeathFields.Instructions),
            Birth = Median(births),
            Reset = Median(resets),
            Kill = Median(kills),
            ReadFaults = null,
            WriteFault = null,
            WriteFaultFirst = null,
            WriteFaultGigabyte = null,
            OwnedAfterBirth = owned,
            OwnedAfterCommand = ownedAfter,
            Ready = Median(ready),
            Boot = boot,
        };
    }

    private async Task<(long Vm, KeyValueLine Frozen)> FillerTemplateAsync(long memory, string pages, string append)
    {
        await _boot.AskAsync("scrub").ConfigureAwait(false);
        (long vm, _) = await _boot.StartAsync(Order(GuestPayload.Filler, memory, pages, append)).ConfigureAwait(false);
        return (vm, await _boot.FrozenAsync(vm).ConfigureAwait(false));
    }

    private async Task EndAsync(long child, long template)
    {
        await _boot.OrderAsync(DeathWay.Kill.Name(), child).ConfigureAwait(false);
        await _boot.OrderAsync(DeathWay.Kill.Name(), template).ConfigureAwait(false);
    }

    private async Task<long> BirthOf(long child) => (await _boot.OrderAsync("measure", child).ConfigureAwait(false))
        .Number(DeathFields.FirstEntryNanoseconds);

    private string Order(string guest, long memory, string pages, string append) => new GuestOrder(
        guest, memory, plan.Cpus, pages, MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate), append)
    {
        IsRepeatable = true,
    }.Command;

    private static long Mapped(KeyValueLine frozen) =>
        frozen.Number(DeathFields.MappedPages4K) + (512 * frozen.Number(DeathFields.MappedBlocks2M));

    private static long Median(List<long> values) => Distribution.Of(values).Rank(50)!.Value;
}
