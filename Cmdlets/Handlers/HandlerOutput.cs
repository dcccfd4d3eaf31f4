using System.Buffers;
using System.Collections;
using System.Collections.ObjectModel;
using System.Globalization;
using System.Management.Automation;
using System.Text;
using C10kServer.Parameters;

namespace C10kServer.Scripting;

/// <summary>
/// Turns a handler's output into bytes. A string is encoded and gets the marks of the framing. Bytes stay as they are, in an array or a list
/// of any kind. Null adds nothing. An array of anything else is an error. Any other object is sent as a string, in the invariant culture.
/// Belongs to one thread.
/// </summary>
internal sealed class HandlerOutput(Engine.Framing framing, Encoding encoding)
{
    // A buffer that has grown beyond this for a large answer is replaced, because small answers that follow do not need it.
    private const int LargestKept = 256 * 1024;

    private ArrayBufferWriter<byte> _bytes = new(1024);

    /// <summary>The bytes of a handler's output. Valid until the next call.</summary>
    internal ReadOnlySpan<byte> Encode(Collection<PSObject> output)
    {
        Clear();
        foreach (PSObject? item in output)
        {
            Append(item);
        }

        return _bytes.WrittenSpan;
    }

    /// <summary>The bytes of one object, as if a handler had put it out. Valid until the next call.</summary>
    internal ReadOnlySpan<byte> Encode(object? item)
    {
        Clear();
        Append(item);
        return _bytes.WrittenSpan;
    }

    /// <summary>A message of bytes with the marks of the framing. Valid until the next call.</summary>
    internal ReadOnlySpan<byte> EncodeFrame(ReadOnlySpan<byte> message)
    {
        Clear();
        framing.Write(message, _bytes);
        return _bytes.WrittenSpan;
    }

    private void Clear()
    {
        if (_bytes.Capacity > LargestKept)
        {
            _bytes = new ArrayBufferWriter<byte>(1024);
        }

        _bytes.ResetWrittenCount();
    }

    private void Append(object? item)
    {
        switch (item is PSObject wrapped ? wrapped.BaseObject : item)
        {
            case null:
                break;
            case string text:
                AppendText(text);
                break;
            case byte one:
                // The shell unrolls a byte array into its bytes, so that each byte arrives as an object.
                _bytes.GetSpan(1)[0] = one;
                _bytes.Advance(1);
                break;
            case byte[] bytes:
                _bytes.Write(bytes);
                break;
            case IList:
                // A whole array arrives as one object when the handler writes a comma before the sum of two byte arrays, or when it calls a
                // Send method.
                _bytes.Write(ByteList.Read(item));
                break;
            default:
                AppendText((string)LanguagePrimitives.ConvertTo(item, typeof(string), CultureInfo.InvariantCulture));
                break;
        }
    }

    private void AppendText(string text)
    {
        if (framing.Kind == Engine.FramingKind.Length)
        {
            framing.WriteHeader(encoding.GetByteCount(text), _bytes);
        }

        encoding.GetBytes(text, _bytes);
        _bytes.Write(framing.Terminator);
    }
}
