namespace Quietus.Stage2;

/// <summary>What the table says about one IPA.</summary>
public readonly struct Translation
{
    /// <summary>Whether there is a leaf. Otherwise a walk faults, at <see cref="Level"/>.</summary>
    public readonly bool IsMapped;

    /// <summary>The leaf's level, or the level of the translation fault.</summary>
    public readonly sbyte Level;

    /// <summary>What the leaf permits; nothing where there is none.</summary>
    public readonly LeafAttributes Attributes;

    /// <summary>The output address of exactly the IPA asked for; 0 where there is no leaf.</summary>
    public readonly Pa Output;

    internal Translation(int faultLevel) => Level = (sbyte)faultLevel;

    internal Translation(int level, Pa output, LeafAttributes attributes)
    {
        IsMapped = true;
        Level = (sbyte)level;
        Output = output;
        Attributes = attributes;
    }
}
