# Text that a client has written, on its way to the terminal of an administrator: each view, each ToString() and each message is fed with what
# steers a terminal or cannot be seen. Which views and properties there are is read from the metadata.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    $views = [xml][System.IO.File]::ReadAllText("$root/Formats/C10kServer.format.ps1xml")
    $shown = foreach ($view in $views.Configuration.ViewDefinitions.View) {
        @{ View = $view.Name; Type = $view.ViewSelectedBy.TypeName; Form = if ($view.TableControl) { 'Table' } else { 'List' }; Xml = $view.InnerXml }
    }
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
}

Describe 'Text of a client, hostile to the terminal' {
    BeforeAll {
        # One of each kind: an escape sequence, a C1 control, a bell, line ends of four kinds, a change of direction, what is invisible, a tag
        # character and half a character. What could be taken for a line of its own begins with FORGED.
        $codes = 0x1b, 0x9b, 7, 8, 9, 0x7f, 0x202e, 0x2067, 0x200b, 0xfeff, 0xad, 0xfe0f, 0xe000
        $hostile = 'kept[31m' + -join $codes.ForEach({ [char]$_ }) + [char]::ConvertFromUtf32(0xe0041) + [char]::ConvertFromUtf32(0xe0100)
        $hostile += -join (10, 13, 0x85, 0x2028, 0x2029).ForEach({ "$([char]$_)FORGED" }) + [char]0xd83d

        # What is left of it in a text that people are shown.
        function Find-Hostile([string] $Text) {
            foreach ($rune in $hostile.EnumerateRunes()) {
                $one = "$rune"
                if ($rune.Value -eq 0xfffd) { continue }
                if ($rune.Value -gt 126 -or ($rune.Value -lt 32 -and $one -ne "`n")) {
                    if ($Text.Contains($one, [System.StringComparison]::Ordinal)) { 'U+{0:X4}' -f $rune.Value }
                }
            }

            if ($Text.IndexOf([char]0xd83d) -ge 0) { 'U+D83D' }
            if ([regex]::IsMatch($Text, '(?m)^FORGED')) { 'a forged line' }
        }

        $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k-hostile-').FullName

        # A path has 107 bytes at most.
        $name = 'kept[31m' + [char]0x1b + [char]0x9b + [char]0x202e + "`nx" + [char]::ConvertFromUtf32(0xe0041)
        $unix = Start-C10kServer -Name unix -UnixPath "$folder/$name" -Workers 1
    }

    AfterAll {
        Get-C10kServer | Stop-C10kServer
        [System.IO.Directory]::Delete($folder, $true)
    }

    It 'is found by this test where nothing escapes it' {
        @(Find-Hostile $hostile).Count | Should -BeGreaterThan 15
        $unix.EndPoint.Path | Should -BeExactly "$folder/$name" -Because 'a property has it as it came'
    }

    It 'comes escaped through the <Form> <View> of <Type>' -ForEach $shown {
        $class = [C10kServer.Server].Assembly.GetType(($Type -split '#')[0])
        $row = [ordered]@{}
        foreach ($property in $class.GetProperties()) {
            $kind = [System.Nullable]::GetUnderlyingType($property.PropertyType) ?? $property.PropertyType
            $row[$property.Name] = switch ($kind) {
                ([string]) { $hostile; break }
                ([object]) { $hostile; break }
                ([System.Net.EndPoint]) { $unix.EndPoint; break }
                ([System.Net.EndPoint[]]) { , $unix.EndPoints; break }
                ([C10kServer.Server]) { $unix; break }
                ([C10kServer.ServerOptions]) { $unix.Options; break }
                { $_.IsValueType } { [System.Activator]::CreateInstance($kind); break }
            }
        }

        $object = [pscustomobject]$row
        $object.PSTypeNames.Insert(0, $class.FullName)
        if ($Type -ne $class.FullName) { $object.PSTypeNames.Insert(0, $Type) }
        $how = if ($View -eq $class.FullName) { @{} } else { @{ View = $View } }
        $lines = @($object | & "Format-$Form" @how | Out-String -Width 2000 -Stream)
        Find-Hostile ($lines -join "`n") | Should -BeNullOrEmpty -Because ($lines -join "`n")

        # It is there: or the view would show nothing hostile because it shows nothing. A table of numbers has no text.
        $texts = @($class.GetProperties().Where({ $_.PropertyType -in [string], [object], [System.Net.EndPoint] -or $_.Name -eq 'Server' }))
        $used = $texts.Name.Where({ $Xml -match "(`$_\.|<PropertyName>)$_\b" })
        # A narrow column breaks the text anywhere.
        if ($used) { "$lines" -replace '\s' | Should -Match ([regex]::Escape('kept[31m')) -Because "it shows $used" }
    }

    It 'comes escaped through ToString() of each object, and of the objects that events bring' {
        $seen = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $server = Start-C10kServer -Name talk -UnixPath "$folder/talk $name" -HandlerCount 1 -Framing Line -OnConnect { ($using:seen).Enqueue($Connection) } `
            -ScriptBlock { $Connection.Tag = $_; Write-Error "no $_"; Write-Warning "no $_" }
        $socket = [System.Net.Sockets.Socket]::new('Unix', 'Stream', 'Unspecified')
        $socket.Connect([System.Net.Sockets.UnixDomainSocketEndPoint]::new("$folder/talk $name"))
        $line = $hostile -replace "[`r`n]"
        $null = $socket.Send([System.Text.Encoding]::UTF8.GetBytes("$line`n"))
        Wait-Until { (Get-C10kLog talk).Where({ $_.Message -match 'kept' -or $_.Exception -match 'kept' }).Count -ge 2 }
        $connection = Get-C10kConnection talk
        $records = @(Get-C10kLog talk)
        "$($connection.Tag)" | Should -Match 'kept' -Because 'the handler has set it'
        $connection.Tag.Contains([string][char]0x1b) | Should -BeTrue -Because 'a property has it as it came'
        $server.LastError.Contains([string][char]0x1b) | Should -BeTrue -Because 'a property has it as it came'

        $objects = @($server; $server.Options; $server.Workers; $connection; $seen.ToArray(); $records; ($server | Measure-C10kServer -Interval 10ms))
        foreach ($object in $objects) { Find-Hostile "$object" | Should -BeNullOrEmpty -Because $object.GetType().Name }
        @($records).Where({ "$_" -match 'kept' }).Count | Should -BeGreaterThan 0
        foreach ($form in 'Table', 'List') {
            # Options have no table: Format-Table of them shows the properties themselves.
            $text = $objects.Where({ $form -eq 'List' -or $_ -isnot [C10kServer.ServerOptions] }) | ForEach-Object { $_ | & "Format-$form" | Out-String -Width 300 }
            if ($form -eq 'List') { "$text" | Should -Match 'kept' }
            Find-Hostile ("$text" -replace "`r") | Should -BeNullOrEmpty -Because $form
        }

        $socket.Dispose()
    }

    It 'comes escaped through the errors, warnings and questions of cmdlets' {
        $texts = @(
            Get-C10kServer $name.Replace('[', '') -ErrorAction SilentlyContinue -ErrorVariable missing
            Get-C10kServer $name -ErrorAction SilentlyContinue -ErrorVariable +missing
            $missing.ForEach({ $_ | Out-String })
            try { Start-C10kServer -UnixPath "$folder/no/$name" } catch { $_ | Out-String }
            Test-C10kServer $unix.Name -Verbose 4>&1 | Out-String
        )
        foreach ($text in $texts) { $text | Should -Match 'kept' }
        Find-Hostile "$texts" | Should -BeNullOrEmpty -Because "$texts"
    }

    It 'cannot be in the name of a server: <_>' -ForEach 0x1b, 0x9b, 0x202e, 0x200b, 0xe0041, 0x2028, 0xfe0f {
        { Start-C10kServer -Name "a$([char]::ConvertFromUtf32($_))b" } | Should -Throw '*no invisible one*'
    }
}
