namespace Quietus.Memory;

/// <summary>
/// How many VMs stand on a template's memory: the only thing that sharing counts. A template ends when it was told to
/// and no child of it lives; the last of them frees its memory, and no VM waits for another.
/// </summary>
/// <remarks>
/// Locking: the core that creates and ends VMs, one at a time. All zero means a template without children.
/// </remarks>
public struct Offspring
{
    private bool _isEnding;

    /// <summary>Children that live, templates that they became included.</summary>
    public uint Living { get; private set; }

    /// <summary>The template was told to end: it has no more children, and goes with the last one.</summary>
    public readonly bool IsEnding => _isEnding;

    /// <summary>Counts a child. False when the template is ending, and then there must be none.</summary>
    public bool TryBear()
    {
        if (_isEnding || Living == uint.MaxValue)
        {
            return false;
        }

        Living++;
        return true;
    }

    /// <summary>A child is gone. True when the template's memory is to be released now.</summary>
    public bool Leave()
    {
        Living -= Living == 0 ? 0U : 1U;
        return _isEnding && Living == 0;
    }

    /// <summary>Tells the template to end. True when its memory is to be released now.</summary>
    public bool End()
    {
        _isEnding = true;
        return Living == 0;
    }
}
