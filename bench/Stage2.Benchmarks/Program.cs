using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Quietus.Stage2.Benchmarks;

/// <summary>
/// What the engine's own code costs for each leaf, in this process: see docs/performance.md for the command.
/// </summary>
internal static class Program
{
    private static void Main(string[] arguments)
    {
        // In this process: a project that BenchmarkDotNet generates would not follow this repository's build rules.
        Job job = Job.Default
            .WithToolchain(InProcessEmitToolchain.Instance)
            .WithWarmupCount(3)
            .WithIterationCount(15);
        ManualConfig config = ManualConfig.CreateEmpty()
            .AddJob(job)
            .AddColumnProvider(DefaultColumnProviders.Instance)
            .AddColumn(StatisticColumn.Median, StatisticColumn.Min)
            .AddLogger(ConsoleLogger.Default)
            .AddExporter(MarkdownExporter.GitHub)
            .HideColumns(Column.Error, Column.Job, Column.Toolchain, Column.InvocationCount, Column.UnrollFactor,
                Column.IterationCount, Column.WarmupCount)
            .WithArtifactsPath("artifacts/benchmarks");
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(arguments, config);
    }
}
