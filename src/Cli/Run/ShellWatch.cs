using System;
using System.Text;
using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Run;

/// <summary>
/// Watches a guest boot until it can be a template: its shell has said that it is ready and shows a prompt (the fetched
/// guest's, <c>guests/linux/init</c>), or it has asked to be frozen itself.
/// </summary>
internal sealed class ShellWatch
{
    private const string Ready = "quietus-guest: shell ready";
    private const string Prompt = "# ";
    private const int LongestTail = 256;

    private readonly StringBuilder _tail = new();
    private bool _isReady;
    private bool _hasPrompt;

    /// <summary>From now on the prompt that there was does not count: a command has been typed.</summary>
    public void ExpectPrompt()
    {
        _hasPrompt = false;
        _tail.Clear();
    }

    /// <summary>What the guest's own freeze took; null where it has not asked for one.</summary>
    public KeyValueLine? OwnFreeze { get; private set; }

    /// <summary>It is time to freeze it, or it is frozen.</summary>
    public bool CanBeForked => _hasPrompt || OwnFreeze is not null;

    /// <summary>The guest has asked for its freeze, and is a template.</summary>
    public void Frozen(KeyValueLine figures) => OwnFreeze = figures;

    /// <summary>Takes what the guest has printed.</summary>
    public void Take(ReadOnlySpan<byte> output)
    {
        _tail.Append(Encoding.Latin1.GetString(output));
        string text = _tail.ToString();
        if (!_isReady && text.IndexOf(Ready, StringComparison.Ordinal) is >= 0 and int at)
        {
            _isReady = true;
            text = text[(at + Ready.Length)..];
        }

        _hasPrompt |= _isReady && text.Contains(Prompt, StringComparison.Ordinal);
        _tail.Clear().Append(text.AsSpan(Math.Max(0, text.Length - LongestTail)));
    }
}
