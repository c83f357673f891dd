using System;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Spectre.Console;

namespace Quietus.Cli.Terminals;

/// <summary>
/// Work's progress on stderr: a bar on a terminal, else one line for each piece. Calls may come from several threads.
/// </summary>
internal sealed class WorkProgress : IDisposable
{
    private readonly Lock _lock = new();
    private readonly int _total;
    private readonly IAnsiConsole? _console;
    private readonly TaskCompletionSource _finished = new();
    private ProgressTask? _bar;
    private Task? _drawing;
    private int _done;

    private WorkProgress(int total, IAnsiConsole? console)
    {
        _total = total;
        _console = console;
    }

    /// <param name="total">How many pieces there are.</param>
    /// <param name="first">What is said before the first begins.</param>
    public static WorkProgress Start(int total, string first)
    {
        if (Console.IsErrorRedirected || Notice.IsQuiet)
        {
            return new WorkProgress(total, console: null);
        }

        bool color = Style.UsesColor(
            Style.Choice, redirected: false, Environment.GetEnvironmentVariable);
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.Detect,
            ColorSystem = color ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(Console.Error),
        });
        if (!console.Profile.Capabilities.Ansi)
        {
            return new WorkProgress(total, console: null);
        }

        var progress = new WorkProgress(total, console);
        var drawn = new ManualResetEventSlim();
        progress._drawing = console.Progress()
            .AutoClear(true)
            .Columns(new SpinnerColumn(), new ProgressBarColumn { Width = 24 }, new TaskDescriptionColumn())
            .StartAsync(async context =>
            {
                progress._bar = context.AddTask(first, maxValue: total);
                drawn.Set();
                await progress._finished.Task.ConfigureAwait(false);
            });
        drawn.Wait();
        drawn.Dispose();
        return progress;
    }

    /// <summary>A piece is about to begin.</summary>
    public void Begins(string what) => Show(what);

    /// <summary>A piece that takes long has come so far.</summary>
    /// <param name="what">The piece.</param>
    /// <param name="share">How much of it is done, 0 to 1.</param>
    public void Reaches(string what, double share) =>
        Show(string.Create(CultureInfo.InvariantCulture, $"{what} {100 * share:0} %"));

    /// <summary>A piece is done.</summary>
    public void Finished(string result)
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
                Notice.Progress(string.Create(CultureInfo.InvariantCulture, $"[{_done}/{_total}] {result}"));
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

    private void Show(string what)
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
}
