using System;
using System.Collections.Generic;

namespace Quietus.Cli.Run;

/// <summary>What a key sequence asks of us, when it is not for the guest.</summary>
internal enum EscapeAction
{
    None,
    End,
    Help,

    /// <summary>What runs where, and how much it has had.</summary>
    Status,

    /// <summary>With a template: its child is to die.</summary>
    Kill,
}

/// <summary>
/// Splits what is typed into what is for the guest and what is for us: Ctrl-A x ends, Ctrl-A h helps, Ctrl-A s tells
/// what runs, Ctrl-A Ctrl-A types one Ctrl-A, and where there is a template, Ctrl-A k kills its child. Anything else
/// after Ctrl-A goes to the guest with it.
/// </summary>
internal sealed class EscapeKeys(bool hasTemplate)
{
    public const byte Prefix = 0x01;
    private bool _prefixed;

    /// <summary>Takes typed bytes, adds those for the guest to a list; stops at the first request to end.</summary>
    public EscapeAction Take(ReadOnlySpan<byte> typed, List<byte> forGuest)
    {
        EscapeAction action = EscapeAction.None;
        foreach (byte key in typed)
        {
            if (!_prefixed)
            {
                if (key == Prefix)
                {
                    _prefixed = true;
                }
                else
                {
                    forGuest.Add(key);
                }

                continue;
            }

            _prefixed = false;
            switch (key)
            {
                case (byte)'x' or (byte)'X':
                    return EscapeAction.End;
                case (byte)'h' or (byte)'H' or (byte)'?':
                    action = EscapeAction.Help;
                    break;
                case (byte)'s' or (byte)'S':
                    action = EscapeAction.Status;
                    break;
                case (byte)'k' or (byte)'K' when hasTemplate:
                    action = EscapeAction.Kill;
                    break;
                case Prefix:
                    forGuest.Add(Prefix);
                    break;
                default:
                    forGuest.Add(Prefix);
                    forGuest.Add(key);
                    break;
            }
        }

        return action;
    }
}
