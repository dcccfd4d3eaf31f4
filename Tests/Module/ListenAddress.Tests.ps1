# How -Address reads what is written: at the prompt and through what stands in for a cmdlet. A typing error never becomes an address.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $wrong = 'not-an-ip', '5', '1.2', '127.1', '256.0.0.1', '01.2.3.4', '', '::1::', '[::1]', '127.0.0.1:80', '::1/64', 'localhost.', 'example.com'
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"

    function New-Proxy([string] $Name) {
        $metadata = [System.Management.Automation.CommandMetadata]::new((Get-Command $Name))
        [scriptblock]::Create([System.Management.Automation.ProxyCommand]::Create($metadata))
    }
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
}

Describe 'Start-C10kServer -Address' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
    }

    It 'takes <Given>, which is <Expected>' -ForEach @(
        @{ Given = '127.0.0.1'; Expected = '127.0.0.1' }
        @{ Given = '127.0.0.2'; Expected = '127.0.0.2' }
        @{ Given = 'localhost'; Expected = '127.0.0.1' }
        @{ Given = 'LocalHost'; Expected = '127.0.0.1' }
        @{ Given = ' 127.0.0.1 '; Expected = '127.0.0.1' }
        @{ Given = [ipaddress]::Loopback; Expected = '127.0.0.1' }
    ) {
        "$((Start-C10kServer -Address $Given).Address)" | Should -Be $Expected
    }

    It 'refuses <_>, says what is valid, and never listens on 0.0.0.0 instead' -ForEach $wrong {
        $text = $_
        $caught = try { Start-C10kServer -Address $text } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'CannotConvertArgumentNoMessage,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match "'$([regex]::Escape($text))' is not an IP address.*127\.0\.0\.1"
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'refuses a number, also in a list' -ForEach @(@{ Given = 5 }, @{ Given = 127.1 }, @{ Given = '127.0.0.1', 5 }) {
        $caught = try { Start-C10kServer -Address $Given } catch { $_ }
        "$caught" | Should -Match 'is not an IP address'
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'refuses nothing at all' {
        { Start-C10kServer -Address $null } | Should -Throw -ErrorId 'ParameterArgumentValidationError*'
        { Start-C10kServer -Address '127.0.0.1', $null } | Should -Throw -ErrorId 'ParameterArgumentValidationError*'
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'binds in a mock as in the cmdlet, and a typing error is as much of an error there' {
        Mock Start-C10kServer { $Address }
        $seen = @(Start-C10kServer -Address localhost, 0.0.0.0, ::1)
        $seen[0] | Should -BeOfType ([C10kServer.ListenAddress])
        "$seen" | Should -Be '127.0.0.1 0.0.0.0 ::1'
        Should -Invoke Start-C10kServer -Times 1 -Exactly -ParameterFilter { $Address -contains '0.0.0.0' -and $Address[0] -eq 'localhost' }
        { Start-C10kServer -Address 5 } | Should -Throw '*is not an IP address*'
        { Start-C10kServer -Address '1.2' } | Should -Throw '*is not an IP address*'
    }

    It 'is the same through a proxy' {
        Set-Item function:Start-Proxy (New-Proxy Start-C10kServer)
        "$((Start-Proxy -Address localhost).Address)" | Should -Be '127.0.0.1'
        { Start-Proxy -Address '1.2' } | Should -Throw '*is not an IP address*'
    }

    It 'is the same after a way to another process' {
        $sent = [System.Management.Automation.PSSerializer]::Serialize([C10kServer.ListenAddress]'127.0.0.3')
        $came = [System.Management.Automation.PSSerializer]::Deserialize($sent)
        $came | Should -Not -BeOfType ([C10kServer.ListenAddress])
        "$((Start-C10kServer -Address $came).Address)" | Should -Be '127.0.0.3'
    }
}

Describe 'Invoke-C10kLoad -Address' {
    BeforeAll {
        $server = Start-C10kServer
    }

    AfterAll {
        Get-C10kServer | Stop-C10kServer
    }

    It 'takes localhost, here and through a proxy' {
        (Invoke-C10kLoad -Port $server.Port -Address localhost -Connection 1 -Count 1).Errors | Should -Be 0
        Set-Item function:Invoke-Proxy (New-Proxy Invoke-C10kLoad)
        (Invoke-Proxy -Port $server.Port -Address localhost -Connection 1 -Count 1).Errors | Should -Be 0
    }

    It 'refuses <_>, here and in a mock' -ForEach '1.2', '5', 'example.com', $null {
        $text = $_
        { Invoke-C10kLoad -Port $server.Port -Address $text -Connection 1 -Count 1 } | Should -Throw "*Address*"
        Mock Invoke-C10kLoad { $Address }
        { Invoke-C10kLoad -Port $server.Port -Address $text -Connection 1 -Count 1 } | Should -Throw "*Address*"
    }
}
