using System;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench;
using Spectre.Console;

namespace Quietus.Cli.Verbs;

/// <summary>A bench run's progress on stderr: a bar on a terminal, else one line for each death.</summary>
internal sealed class BenchProgress : IBenchProgress, IDisposable
{
    private readonly Lock _lock = new();
    private readonly int _total;
    private readonly IAnsiConsole? _console;
    private readonly TaskCompletionSource _finished = new();
    private ProgressTask? _bar;
    private Task? _drawing;
    private int _done;

    private BenchProgress(int total, IAnsiConsole? console)
    {
        _total = total;
        _console = console;
    }

    public static BenchProgress Start(int total)
    {
        if (Console.IsErrorRedirected)
        {
            return new BenchProgress(total, console: null);
        }

        bool color = Terminals.Style.UsesColor(
            Terminals.Style.Choice, redirected: false, Environment.GetEnvironmentVariable);
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Detect,
            ColorSystem = color ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(Console.Error),
        });
        if (!console.Profile.Capabilities.Ansi)
        {
            return new BenchProgress(total, console: null);
        }

        var progress = new BenchProgress(total, console);
        var drawn = new ManualResetEventSlim();
        progress._drawing = console.Progress()
            .AutoClear(true)
            .Columns(new SpinnerColumn(), new ProgressBarColumn { Width = 24 }, new TaskDescriptionColumn())
            .StartAsync(async context =>
            {
                progress._bar = context.AddTask("booting", maxValue: total);
                drawn.Set();
                await progress._finished.Task.ConfigureAwait(false);
            });
        drawn.Wait();
        drawn.Dispose();
        return progress;
    }

    public void Begins(BenchCase what)
    {
        lock (_lock)
        {
            if (_bar is not null)
            {
                _bar.Description = Markup.Escape(string.Create(
                    CultureInfo.InvariantCulture, $"{_done}/{_total} {what}"));
            }
        }
    }

    public void Measured(BenchRow row)
    {
        lock (_lock)
        {
            _done++;
            if (_bar is not null)
            {
                _bar.Increment(1);
            }
            else
            {
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"[{_done}/{_total}] {row.Case}: {row.Death.Entries:N0} mapped, "
                        + $"{row.Death.Instructions:N0} instructions"));
            }
        }
    }

    public void Dispose()
    {
        _finished.TrySetResult();
        try
        {
            _drawing?.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            // The bar went with the run.
        }

        _console?.Cursor.Show(true);
    }
}
