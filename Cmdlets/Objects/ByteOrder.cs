namespace C10kServer;

/// <summary>Which byte of a number comes first.</summary>
public enum ByteOrder
{
    /// <summary>The most significant one, as in most Internet protocols.</summary>
    BigEndian,

    /// <summary>The least significant one.</summary>
    LittleEndian,
}
