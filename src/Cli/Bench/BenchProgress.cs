using System;
using System.Globalization;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Bench;

/// <summary>A bench run's progress: a piece of work is a death.</summary>
internal sealed class BenchProgress(int total) : IBenchProgress, IDisposable
{
    private readonly WorkProgress _progress = WorkProgress.Start(total, "booting");

    public void Begins(BenchCase what) => _progress.Begins(what.ToString());

    public void Measured(BenchRow row) => _progress.Finished(
        string.Create(CultureInfo.InvariantCulture, $"{row.Case}: {row.Death.Entries:N0} mapped, ")
            + Counted.Of(row.Death.Instructions, "instruction"));

    public void Dispose() => _progress.Dispose();
}
