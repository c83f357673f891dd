using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

// --births: templates and their children instead of deaths.
internal static partial class SimVerb
{
    private const string BornMemory = "64M,1G";
    private const string BornPages = "4k,2m";

    private static readonly Option<bool> _births = new("--births")
    {
        Description = "Instead: what a template's freeze, its children's birth, first writes, reset and death take "
            + $"({SimulatedBirthsDocument.Name}) [default memory: {BornMemory}; default pages: {BornPages}]",
    };

    private static int ShowBirths(ParseResult result, CancellationToken cancellation)
    {
        CommonOptions.Refuse(
            result, [_die, _policies, _ablate, _sweep, _seed, _check, _shard, _outputs.Report!], "with --births",
            "it takes --machine, --memory, --pages, --set, --vcpus, --jobs, --json, --csv and --markdown");
        IReadOnlyList<string> changes = _set.IsGiven(result) ? _set.Of(result) : [];
        IReadOnlyList<string> names = _machine.Of(result);
        IReadOnlyList<MachinePreset> machines = Machines.Parse(names, changes);
        IReadOnlyList<long> memory = _memory.Of(result, BornMemory);
        if (memory.Max() > (long)BirthRequest.MostBytes)
        {
            throw CliException.Usage(
                $"--births takes templates of up to {ByteSize.Format((long)BirthRequest.MostBytes)}, not of "
                    + ByteSize.Format(memory.Max()),
                "give less with --memory: a birth takes the same for every size");
        }

        IReadOnlyList<GuestPages> pages = _pages.Of(result, BornPages);
        if (pages.Any(size => size is not (GuestPages.Pages4K or GuestPages.Blocks2M)))
        {
            throw CliException.Usage("a template is mapped by 4k or 2m", "leave the others out of --pages");
        }

        int vcpus = _vcpus.IsGiven(result) ? _vcpus.Of(result)!.Value : 1;
        Outputs outputs = _outputs.Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        BirthRequest[] requests =
        [
            .. from machine in machines
               from bytes in memory
               from size in pages
               select new BirthRequest(machine, (ulong)bytes, size == GuestPages.Blocks2M, vcpus),
        ];
        string[] words = [.. pages.Select(SimulationNames.Of)];
        var run = new SimulatedBirthsRun(
            machines, memory, words, vcpus,
            string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus sim --births --machine {string.Join(',', names.Select(ShellWord.Quote))}"
                    + $" --memory {string.Join(',', memory.Select(ByteSize.FormatOption))}"
                    + $" --pages {string.Join(',', words)} --vcpus {vcpus}")
                + string.Concat(changes.Select(static change => " --set " + ShellWord.Quote(change))),
            Each(
                requests, _jobs.Of(result) ?? Environment.ProcessorCount,
                request => Simulated(
                    $"{request.Machine.Name} {ByteSize.Format((long)request.MemoryBytes)}",
                    () => SimulatedBirths.Run(request, cancellation)),
                cancellation));
        outputs.Write(
            "rows", stream => SimulatedBirthsDocument.Of(run).Write(stream),
            writer => SimulatedBirthsTable.Write(writer, run));
        return run.IsComplete ? ExitCode.Ok : throw new OperationCanceledException(cancellation);
    }
}
