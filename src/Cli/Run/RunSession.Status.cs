using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Run;

/// <content>What Ctrl-A s tells: the machine's VMs and its cores.</content>
internal sealed partial class RunSession
{
    private KeyValueLine? _lastCores;
    private IReadOnlyList<KeyValueLine> _lastFigures = [];

    private async Task TellStatusAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        try
        {
            MonitorReply vms = await monitor.RequestAsync("list", _answerLimit, cancellation).ConfigureAwait(false);
            MonitorReply cores = await monitor.RequestAsync("cores", _answerLimit, cancellation).ConfigureAwait(false);
            foreach (KeyValueLine vm in vms.Items)
            {
                Say(Describe(vm), freshLine: true);
            }

            // A core's figure is of the time since the last look, so that a second look tells what goes on now.
            long passed = cores.Final.Number("now_ns") - (_lastCores?.Number("now_ns") ?? 0);
            var line = new StringBuilder("cores:");
            for (int i = 0; i < cores.Items.Count; i++)
            {
                long before = i < _lastFigures.Count ? _lastFigures[i].Number("busy_ns") : 0;
                line.Append(i == 0 ? " " : ", ").Append(Describe(cores.Items[i], before, passed));
            }

            line.Append(_lastCores is null ? " (since the boot)" : " (since the last look)");
            Say(line.ToString());
            _lastCores = cores.Final;
            _lastFigures = cores.Items;
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or CliException)
        {
            // The machine has ended.
        }
    }

    private static string Describe(KeyValueLine vm) => string.Create(
        CultureInfo.InvariantCulture,
        $"VM {vm.Number("vm")}: {Printable.Line(vm.Value("state") ?? "?")}, "
            + $"{Counted.Of(vm.Number("cpus"), "vCPU")}, weight {vm.Number("weight")}, "
            + $"cores {Printable.Line(vm.Value("cores") ?? "?")}; ran {Duration.Format(vm.Number("cpu_ns"))}, "
            + $"waited {Duration.Format(vm.Number("waited_ns"))}");

    private static string Describe(KeyValueLine core, long before, long passed)
    {
        string number = core.Number("core").ToString(CultureInfo.InvariantCulture);
        return core.Value("runs") == "monitor" && core.Number("busy_ns") == before
            ? number + " monitor"
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{number} {Math.Min(100, 100.0 * (core.Number("busy_ns") - before) / Math.Max(1, passed)):0} %");
    }
}
