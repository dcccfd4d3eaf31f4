# A connection that a test itself talks over: text is Latin 1, so that each byte is a character and the other way round.

$script:talks = [System.Collections.Generic.List[hashtable]]::new()

function Open-Talk {
    <#
    .SYNOPSIS
        Connects to a server.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([Parameter(Mandatory)] $Server)

    $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
    $client.NoDelay = $true
    $client.ReceiveTimeout = 180000
    $talk = @{ Client = $client; Stream = $client.GetStream(); Buffer = [byte[]]::new(64KB) }
    $script:talks.Add($talk)
    $talk
}

function Send-Talk {
    <#
    .SYNOPSIS
        Sends text or bytes as they are. With -Finish nothing comes after that; with -Slowly each byte goes by itself.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory)] [hashtable] $Talk, $Data = '', [switch] $Finish, [switch] $Slowly)

    if ($Data -is [byte[]]) { $bytes = $Data } else { $bytes = [System.Text.Encoding]::Latin1.GetBytes($Data) }
    if ($Slowly) {
        foreach ($byte in $bytes) {
            $Talk.Stream.WriteByte($byte)
            [System.Threading.Thread]::Sleep(5)
        }
    } else {
        $Talk.Stream.Write($bytes, 0, $bytes.Length)
    }

    if ($Finish) { $Talk.Client.Client.Shutdown('Send') }
}

function Read-Talk {
    <#
    .SYNOPSIS
        Reads so many bytes, or a line without its line feed, or to the server's end.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([Parameter(Mandatory)] [hashtable] $Talk, [int] $Count = -1, [switch] $Line)

    $text = [System.Text.StringBuilder]::new()
    while ($text.Length -ne $Count) {
        $most = if ($Line) { 1 } elseif ($Count -ge 0) { [Math]::Min($Count - $text.Length, $Talk.Buffer.Length) } else { $Talk.Buffer.Length }
        $got = $Talk.Stream.Read($Talk.Buffer, 0, $most)
        if ($got -eq 0) {
            if ($Line -or $Count -ge 0) { throw "The server has closed after '$text'." }
            break
        }

        if ($Line -and $Talk.Buffer[0] -eq 10) { break }
        $null = $text.Append([System.Text.Encoding]::Latin1.GetString($Talk.Buffer, 0, $got))
    }

    "$text"
}

function Close-Talk {
    <#
    .SYNOPSIS
        Closes at once: some, or all that there are.
    #>
    [CmdletBinding()]
    param([hashtable[]] $Talk = $script:talks.ToArray())

    foreach ($one in $Talk) {
        $one.Client.Dispose()
        $null = $script:talks.Remove($one)
    }
}

function Invoke-Talk {
    <#
    .SYNOPSIS
        A whole visit: what is sent, the end, and all that comes back until the server's.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([Parameter(Mandatory)] $Server, $Data = '', [switch] $Slowly)

    $talk = Open-Talk $Server
    try {
        Send-Talk $talk $Data -Finish -Slowly:$Slowly
        Read-Talk $talk
    } finally {
        Close-Talk $talk
    }
}

Export-ModuleMember -Function Open-Talk, Send-Talk, Read-Talk, Close-Talk, Invoke-Talk
