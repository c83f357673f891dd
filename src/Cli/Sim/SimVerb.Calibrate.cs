using System;
using System.CommandLine;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Probe;
using Quietus.Cli.Terminals;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

// A machine of your own, fitted to what a probe measured: docs/probe.md.
internal static partial class SimVerb
{
    private static readonly Value<string?> _calibrate = Values.Text(
        "--calibrate", "probe.json",
        "Fit a machine to what ./quietus probe measured, and write it to stdout; --machine FILE takes it then");

    /// <summary>The preset is data and goes to stdout, what the fit is worth to stderr.</summary>
    private static int Calibrate(ParseResult result, CancellationToken cancellation)
    {
        CommonOptions.Refuse(
            result,
            [_machine, _memory, _pages, _die, _policies, _ablate, _sweep, _set, _vcpus, _seed, _jobs, _check, _births,
                _hooks, _shard, _calibration, .. _outputs.All],
            "with --calibrate", "it takes no other option");
        ProbeResult probed = ProbeResult.Read(_calibrate.Of(result)!);
        MachinePreset start = CalibratedPreset.StartFor(probed);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        HostCalibration fit;
        try
        {
            fit = HostCalibration.Fit(probed, start, cancellation);
        }
        catch (SimulationException error)
        {
            throw CliException.Usage($"the probed host cannot be simulated: {error.Problem}", error.Remedy);
        }

        Console.Out.Write(CalibratedPreset.Write(fit, probed, CalibratedPreset.NameOfOutput()));
        if (!Notice.IsQuiet)
        {
            CalibrationTable.Write(Console.Error, fit, probed);
        }

        return fit.IsGood ? ExitCode.Ok : ExitCode.Failed;
    }
}
